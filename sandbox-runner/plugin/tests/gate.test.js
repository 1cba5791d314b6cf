import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"

import { Gate } from "../session/gate.js"

const KNOWN = { state: "changed", paths: [], done: true, conflict: null, problem: null, commit: null }
const write = (path = "a", callID = "call_1") => /** @type {const} */ ([{ tool: "write", callID, sessionID: "ses_1" }, { filePath: path }])

/** @param {Partial<import("../session/gate.js").Told>} told */
const told = (told) => ({ tag: "t", .../** @type {any} */ (KNOWN), ...told })

function gate(options = {}) {
  // Nobody listens there: what is told to the runner is lost, as it may be.
  return new Gate({ gateway: "http://127.0.0.1:9", workspace: "/workspace", ...options })
}

test("a write that waits too long goes on, and the agent is told", async () => {
  const one = gate({ deadline: 10 })
  const [call, args] = write()
  await one.before(call, args)
  assert.match(one.after(call, args) ?? "", /could not be brought up to date in time/)
  assert.equal(one.after(call, args), undefined)
})

test("writes wait again while a sync that had failed is repeated", async () => {
  const one = gate()
  one.take(told({ problem: "the forge is away" }))
  assert.match(one.warning ?? "", /the forge is away/)
  await one.before(...write())
  one.take(told({ paths: ["a"], done: false }))
  const waiting = one.before(...write())
  assert.equal(one.waiting.waits.size, 1)
  one.take(told({ paths: ["a"] }))
  await waiting
  assert.equal(one.warning, undefined)
})

test("the agent is told what it lacks until it has merged that, and what else there is for good", async () => {
  const workspace = mkdtempSync(join(tmpdir(), "gate-test-"))
  /** @param {string[]} ask */
  const git = (...ask) => execFileSync("git", ["-C", workspace, "-c", "user.name=a", "-c", "user.email=a@b", ...ask], { encoding: "utf8" }).trim()
  git("init", "-q", "-b", "main")
  git("commit", "-q", "--allow-empty", "-m", "old")
  git("checkout", "-q", "-b", "newer")
  git("commit", "-q", "--allow-empty", "-m", "newer")
  const commit = git("rev-parse", "HEAD")
  git("checkout", "-q", "main")

  const one = gate({ workspace })
  one.take(told({ conflict: ["a"], commit, note: "Work is missing." }))
  const said = await one.said()
  assert.match(said[0] ?? "", new RegExp(`changes to a\\. The newer commit ${commit} is here`))
  assert.equal(said[1], "Work is missing.")
  git("merge", "-q", "newer")
  assert.deepEqual(await one.said(), ["Work is missing."])
  rmSync(workspace, { recursive: true })
})

test("a write that is stopped fails, and others go on waiting", async () => {
  const one = gate()
  const stopped = one.before(...write())
  const other = one.before({ tool: "write", callID: "call_2", sessionID: "ses_2" }, { filePath: "b" })
  one.waiting.stop((conversation) => conversation === "ses_1")
  await assert.rejects(stopped, /stopped/)
  assert.equal(one.waiting.waits.size, 1)
  one.take(told({}))
  await other
})

test("a file that was read before it changed has to be read again", async () => {
  const one = gate()
  const read = /** @type {const} */ ([{ tool: "read", callID: "call_0", sessionID: "ses_1" }, { filePath: "/workspace/a" }])
  one.after(...read)
  one.take(told({ paths: ["a", "b"] }))
  await assert.rejects(one.before(...write("/workspace/a")), /Read it again/)
  await one.before(...write("/workspace/b"))
  one.after(...read)
  await one.before(...write("/workspace/a"))
})

test("the runner is asked until all is done, through its absence and its restarts", async () => {
  const answers = [
    { status: 503, body: "" },
    { status: 200, body: JSON.stringify(told({ tag: "1", paths: ["a"], done: false })) },
    { status: 200, body: "not JSON" },
    { status: 200, body: JSON.stringify(told({ tag: "2", paths: ["a"] })) },
  ]
  /** @type {string[]} */
  const asked = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? "")
    const answer = answers.shift() ?? { status: 500, body: "" }
    response.writeHead(answer.status).end(answer.body)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address())
  const one = gate({ gateway: `http://127.0.0.1:${port}` })
  await one.follow()
  assert.equal(one.done, true)
  assert.deepEqual(asked.map((url) => url.split("seen=")[1]), ["", "", "1", "1"])
  server.close()
})

test("where there is no sync nothing waits", async () => {
  const server = createServer((_, response) => response.writeHead(404).end())
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address())
  const one = gate({ gateway: `http://127.0.0.1:${port}` })
  await one.follow()
  await one.before(...write())
  server.close()
})
