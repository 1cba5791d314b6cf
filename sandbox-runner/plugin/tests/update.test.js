import assert from "node:assert/strict"
import { test } from "node:test"

import { update } from "../session/update.js"

test("an update is told without the space around it", async () => {
  /** @type {object[]} */
  const asked = []
  const tool = update(async (body) => asked.push(body) && 202)
  assert.equal(await tool.execute({ text: " The cause is found. \n" }, {}), "Told.")
  assert.deepEqual(asked, [{ text: "The cause is found." }])
})

test("one that was not taken is an error which the agent reads", async () => {
  const refused = (/** @type {number} */ status) => update(async () => status).execute({ text: "x" }, {})
  await assert.rejects(refused(429), /are enough/)
  await assert.rejects(refused(400), /at most 2000/)
  await assert.rejects(async () => update(async () => 202).execute({ text: " " }, {}), /nothing in this update/)
})
