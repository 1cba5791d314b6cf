// The agent's tool to tell whoever follows the session how it goes, while it works.

const DESCRIPTION = `Tells the people who wait for this work how it goes: they see it at once, in chat and in the session.
Use it at turning points only: the cause is found, the approach changes, a long part begins or is done, something
is in the way. One or two plain sentences for somebody who does not look on. At most 10 for each request; your
last answer is shown anyway and needs none.`

/**
 * @param {(body: object) => Promise<number>} ask answers the status
 * @returns {import("../agent.d.ts").Tool}
 */
export const update = (ask) => ({
  description: DESCRIPTION,
  args: { text: { type: "string", description: "What has happened or comes next, in one or two sentences." } },
  execute: async ({ text }) => {
    const told = typeof text === "string" ? text.trim() : ""
    if (!told) throw new Error("There is nothing in this update.")
    const status = await ask({ text: told })
    if (status === 202) return "Told."
    if (status === 429) throw new Error("That was not told: 10 updates of one request are enough. Go on with the work.")
    throw new Error("That was not told: an update is at most 2000 characters.")
  },
})
