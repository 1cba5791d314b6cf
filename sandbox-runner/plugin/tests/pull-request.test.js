import assert from "node:assert/strict"
import { test } from "node:test"

import { pullRequest } from "../session/pull-request.js"

test("what is empty is left to the platform", async () => {
  /** @type {object[]} */
  const asked = []
  const tool = pullRequest(async (body) => asked.push(body) && 202)
  const said = await tool.execute({ branch: " ", title: "Fix it", body: "", draft: false }, {})
  assert.match(said, /opened or updated/)
  assert.deepEqual(asked, [{ branch: undefined, title: "Fix it", body: undefined, draft: false }])
})

test("a wish that was not taken is an error which the agent reads", async () => {
  const refused = (/** @type {number} */ status) => pullRequest(async () => status).execute({ title: "x" }, {})
  await assert.rejects(refused(400), /no name of a branch/)
  await assert.rejects(refused(429), /too many/)
})
