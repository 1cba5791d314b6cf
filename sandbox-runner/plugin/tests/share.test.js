import assert from "node:assert/strict"
import { createServer } from "node:http"
import { after, before, test } from "node:test"

import { shareFile } from "../session/share.js"

/** @type {import("node:http").Server} */
let server
/** @type {{ url: string | undefined, body: unknown }[]} */
const received = []
let gateway = ""

before(async () => {
  server = createServer(async (request, response) => {
    let body = ""
    for await (const piece of request) body += piece
    const offer = JSON.parse(body)
    received.push({ url: request.url, body: offer })
    const refused = offer.path === "missing.png"
    response.writeHead(refused ? 422 : 200, { "content-type": "application/json" })
    response.end(
      JSON.stringify(refused ? { error: { code: "not_shared", message: "There is no file missing.png." } } : { message: "Shared." }),
    )
  })
  await new Promise((listening) => server.listen(0, "127.0.0.1", () => listening(undefined)))
  const address = server.address()
  gateway = typeof address === "object" && address ? `http://127.0.0.1:${address.port}` : ""
})
after(() => server.close())

test("a file is offered to the runner and its answer is the tool's", async () => {
  const answer = await shareFile(gateway).execute({ path: "shot.png", caption: "Before" }, {})
  assert.equal(answer, "Shared.")
  assert.deepEqual(received.at(-1), { url: "/workspace/share", body: { path: "shot.png", caption: "Before" } })
})

test("what the runner refuses fails with its words", async () => {
  await assert.rejects(shareFile(gateway).execute({ path: "missing.png" }, {}), { message: "There is no file missing.png." })
})
