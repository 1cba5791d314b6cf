// Loaded into the agent server. It holds no secret, as nothing in the sandbox does, and is trusted
// with none: what it tells the runner is parsed there like anything else from inside.
//
// - Commits which the agent makes itself are authored by whoever prompted, as the runner's own are.
// - Writes wait until the workspace is up to date: see session/gate.js. All of an agent's tools come
//   by here, sub-agents' too. The server's shell endpoint does not, and the runner does not use it.
// - The runner is told after every tool that wrote, so that it can keep work in progress.

import { Gate } from "./session/gate.js"
import { Authors } from "./session/authors.js"
import { writes } from "./session/writes.js"

/** How long writes are gathered before the runner is told of them. */
const GATHER_MS = 1_000

export const Session = async ({ directory }) => {
  const authors = new Authors()
  const gate = new Gate({ gateway: process.env.AGENT_GATEWAY, workspace: directory })
  void gate.follow()

  // Whether a write has begun of which the runner was not told.
  let begun = false
  let told
  const wrote = () => {
    begun = false
    told ??= setTimeout(() => {
      told = undefined
      gate.tell("wrote", {})
    }, GATHER_MS)
  }

  return {
    event: async ({ event }) => {
      if (event.type === "session.created" || event.type === "session.updated") authors.conversation(event.properties.info)
      if (event.type === "session.idle") {
        const { sessionID } = event.properties
        gate.stop((conversation) => authors.isUnder(conversation, sessionID))
      }
      // A call that failed or was stopped has no end of its own, and may have written.
      if (event.type === "session.idle" && begun) wrote()
    },
    "chat.message": async (input, output) => authors.prompt(input.sessionID, output.parts),
    "shell.env": async (input, output) => {
      // Not the agent's own, in which it would install a package.
      output.env.XDG_CONFIG_HOME = `${process.env.HOME}/.config`
      Object.assign(output.env, authors.environment(input.sessionID))
    },
    "tool.execute.before": async (call, output) => {
      await gate.before(call, output.args)
      if (writes(call.tool, output.args)) begun = true
    },
    "tool.execute.after": async (call, output) => {
      const note = gate.after(call, call.args)
      if (note && typeof output.output === "string") output.output += `\n\n(${note})`
      if (writes(call.tool, call.args)) wrote()
    },
    "experimental.chat.system.transform": async (input, output) => {
      if (gate.warning) output.system.push(gate.warning)
    },
  }
}
