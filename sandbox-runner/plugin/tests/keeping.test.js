import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer } from "node:http"
import { test } from "node:test"

import { Keeping } from "../session/keeping.js"

/** @param {string} callID */
const write = (callID) => /** @type {const} */ ([{ tool: "write", callID, sessionID: "ses_1" }, { filePath: "a" }])
const read = /** @type {const} */ ([{ tool: "read", callID: "read", sessionID: "ses_1" }, { filePath: "a" }])

/** A runner that holds each request until the test answers it. */
async function stage(options = {}) {
  /** @type {((kept: string) => void)[]} */
  const held = []
  /** @type {{ tool: string, path: string, cause: string }[]} */
  const waits = []
  /** @type {(() => void) | undefined} */
  let came
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    held.push((kept) => response.setHeader("content-type", "application/json").end(JSON.stringify({ kept })))
    came?.()
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address())
  const ending = new AbortController()
  const keeping = new Keeping({
    gateway: `http://127.0.0.1:${port}`,
    tell: (wait) => waits.push(wait),
    signal: ending.signal,
    ...options,
  })
  /** @param {() => boolean} holds */
  const until = async (holds) => {
    while (!holds()) await /** @type {Promise<void>} */ (new Promise((resume) => (came = resume)))
  }
  const end = async () => {
    ending.abort()
    server.closeAllConnections()
    server.close()
    await once(server, "close")
  }
  /** @param {string} callID */
  const written = async (callID) => {
    await keeping.before(...write(callID))
    keeping.after(callID)
  }
  return { keeping, written, held, waits, until, end }
}

/** @param {Promise<unknown>} promise */
async function isPending(promise) {
  const other = {}
  await new Promise((resume) => setImmediate(resume))
  return (await Promise.race([promise, Promise.resolve(other)])) === other
}

test("a write waits until what was written before it is kept, and a read does not", async () => {
  const { keeping, written, held, waits, until, end } = await stage()
  await written("1")
  await until(() => held.length === 1)
  await keeping.before(...read)
  const next = keeping.before(...write("2"))
  assert.equal(await isPending(next), true)
  // People are told of a wait that takes a moment.
  await new Promise((resume) => setTimeout(resume, 10))
  held[0]?.("safe")
  await next
  assert.deepEqual(
    waits.map(({ tool, path, cause }) => [tool, path, cause]),
    [["write", "a", "keeping"]],
  )
  await end()
})

test("a write does not wait for one that runs beside it, and the next waits for both", async () => {
  const { keeping, held, until, end } = await stage()
  await keeping.before(...write("1"))
  await keeping.before(...write("2"))
  keeping.after("1")
  await until(() => held.length === 1)
  keeping.after("2")
  // The runner is told of the second while the first is not kept yet.
  await until(() => held.length === 2)
  const next = keeping.before(...write("3"))
  held[0]?.("safe")
  assert.equal(await isPending(next), true)
  held[1]?.("safe")
  await next
  await end()
})

test("a write that has waited too long goes on, and those after it wait for nothing meanwhile", async () => {
  const { written, held, waits, until, end } = await stage({ deadline: 50 })
  await written("1")
  await until(() => held.length === 1)
  await written("2")
  await until(() => held.length === 2)
  await written("3")
  await until(() => held.length === 3)
  assert.deepEqual(
    waits.map(({ cause }) => cause),
    ["late"],
  )
  await end()
})

test("nothing waits for what is given up", async () => {
  const { keeping, written, held, until, end } = await stage()
  await written("1")
  await until(() => held.length === 1)
  const next = keeping.before(...write("2"))
  held[0]?.("given_up")
  await next
  await end()
})

test("a runner that does not know is told again", async () => {
  const { keeping, written, held, until, end } = await stage()
  await written("1")
  await until(() => held.length === 1)
  held[0]?.("unknown")
  await until(() => held.length === 2)
  const next = keeping.before(...write("2"))
  held[1]?.("safe")
  await next
  await end()
})

test("a write that is stopped while it waits fails, and is not told of", async () => {
  const { keeping, written, held, until, end } = await stage()
  await written("1")
  await until(() => held.length === 1)
  const next = keeping.before(...write("2"))
  keeping.rest((conversation) => conversation === "ses_1")
  await assert.rejects(next, /stopped/)
  assert.equal(keeping.ended, 1)
  await end()
})

test("a call that has no end of its own is told of when its conversation rests, and none twice", async () => {
  const { keeping, held, until, end } = await stage()
  await keeping.before(...write("1"))
  await keeping.before(...write("2"))
  keeping.after("1")
  keeping.rest((conversation) => conversation === "ses_2")
  assert.equal(keeping.ended, 1)
  keeping.rest((conversation) => conversation === "ses_1")
  keeping.after("2")
  await until(() => held.length === 2)
  assert.equal(keeping.ended, 2)
  await end()
})
