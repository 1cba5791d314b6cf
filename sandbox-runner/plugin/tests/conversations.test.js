import assert from "node:assert/strict"
import { test } from "node:test"

import { Conversations } from "../session/conversations.js"

test("a sub-agent works for the session and author of the conversation that started it", () => {
  const all = new Conversations()
  all.known({ id: "ses_1", title: "the session" })
  all.known({ id: "ses_2", parentID: "ses_1", title: "a task" })
  all.known({ id: "ses_3", parentID: "ses_2", title: "a task of the task" })
  all.prompted("ses_1", [{}, { metadata: { author: { name: "Ada", email: "ada@example.org" } } }])
  all.prompted("ses_2", [{}])
  assert.equal(all.session("ses_3"), "the session")
  assert.deepEqual(all.author("ses_3"), { name: "Ada", email: "ada@example.org" })
  assert.equal(all.isUnder("ses_3", "ses_1"), true)
  assert.equal(all.isUnder("ses_1", "ses_3"), false)
  assert.equal(all.author("ses_9"), undefined)
  assert.equal(all.session("ses_9"), "ses_9")
})
