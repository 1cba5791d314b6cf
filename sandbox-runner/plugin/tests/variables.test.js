import assert from "node:assert/strict"
import { createServer } from "node:http"
import test from "node:test"

import { Variables } from "../session/variables.js"

const silent = () => {}

/** @param {import("node:http").RequestListener} answer */
const gateway = async (answer) => {
  const server = createServer(answer)
  await /** @type {Promise<void>} */ (new Promise((resolve) => server.listen(0, "127.0.0.1", resolve)))
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address())
  return { url: `http://127.0.0.1:${port}`, close: () => server.close() }
}

test("variables are those that the gateway has at the moment", async () => {
  let value = "one"
  const { url, close } = await gateway((request, response) => {
    assert.equal(request.url, "/workspace/variables")
    response.end(JSON.stringify({ TOKEN: value }))
  })
  const variables = new Variables({ gateway: url, log: silent })
  assert.deepEqual(await variables.get(), { TOKEN: "one" })
  value = "two"
  assert.deepEqual(await variables.get(), { TOKEN: "two" })
  close()
})

test("a program starts without waiting for long, with what was known last", async () => {
  let fails = false
  const { url, close } = await gateway((_, response) => {
    if (fails) response.writeHead(502).end("{}")
    else response.end(JSON.stringify({ TOKEN: "one" }))
  })
  const variables = new Variables({ gateway: url, deadline: 2_000, log: silent })
  await variables.get()
  fails = true
  assert.deepEqual(await variables.get(), { TOKEN: "one" })
  close()
  const nobody = new Variables({ gateway: "http://127.0.0.1:1", log: silent })
  assert.deepEqual(await nobody.get(), {})
})
