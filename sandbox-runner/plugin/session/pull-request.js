// The agent's tool for pull requests. They are opened by the platform when a prompt ends, for every
// branch of the session that has commits; with the tool the agent says how one is to be.

const DESCRIPTION = `Says how the pull request of this work is to be: its title, what it says, whether it is a draft.
Pull requests are opened and updated by the platform when you have answered; you need not push.
To split work into several, commit each part on a branch named <branch>-<topic>, where <branch> is
the one that is checked out at first; a branch that starts from another one is stacked on it.`

/**
 * @param {(body: object) => Promise<number>} ask answers the status
 * @returns {import("../agent.d.ts").Tool}
 */
export const pullRequest = (ask) => ({
  description: DESCRIPTION,
  // The agent server makes all of them required.
  args: {
    branch: { type: "string", description: "The branch; empty for the one that was checked out at first." },
    title: { type: "string", description: "One line that says what changes." },
    body: { type: "string", description: "What changes and why, in Markdown; empty for your last answer." },
    draft: { type: "boolean", description: "Whether it is not ready for review." },
  },
  execute: async (args) => {
    const { branch, title, body, draft } = args
    const text = (/** @type {unknown} */ value) => (typeof value === "string" && value.trim() ? value.trim() : undefined)
    const status = await ask({ branch: text(branch), title: text(title), body: text(body), draft: draft === true })
    if (status === 202) return "Noted. The pull request is opened or updated when you have answered."
    if (status === 400) throw new Error("This is no name of a branch.")
    throw new Error("That was not noted: there were too many wishes in this session.")
  },
})
