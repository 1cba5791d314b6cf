// Loaded into the agent server. It holds no secret but those that the repository wants in its
// sandboxes, and is trusted with no other: what it tells the runner is parsed there like anything else
// from inside.
//
// - Commits which the agent makes itself are authored by whoever prompted, as the runner's own are.
// - The agent can say how its pull requests are to be: see session/pull-request.js.
// - Hooks of the deployment and of the repository are called: see README.md.
// - Programs that the agent runs get the repository's variables: see session/variables.js.
// - Writes wait until the workspace is up to date: see session/gate.js. All of an agent's tools come
//   by here before they run, sub-agents' too. Commands of the server's shell endpoint and its terminals
//   do not; they wait where every command gets its environment.
// - The agent has a tool more, which shows a file to whoever follows the session: see session/share.js.
// - And one that tells them how the work goes: see session/update.js.
// - The runner is told after every tool that wrote, and the next one that writes waits until that is kept:
//   see session/keeping.js.

import { Conversations } from "./session/conversations.js"
import { Gate } from "./session/gate.js"
import { Hooks } from "./session/hooks.js"
import { Keeping } from "./session/keeping.js"
import { pullRequest } from "./session/pull-request.js"
import { shareFile } from "./session/share.js"
import { update } from "./session/update.js"
import { Variables } from "./session/variables.js"
import { places, writes } from "./session/writes.js"

/**
 * The agent's second loader of plugins does not know of OPENCODE_DISABLE_PROJECT_CONFIG: before the
 * first answer it imports what a repository has in `.opencode/plugin` and names in its settings.
 * Nothing that the server needs is in the working tree, so whatever it imports from there is empty.
 *
 * @param {string} directory
 */
const ignoreCodeOf = (directory) =>
  Bun.plugin({
    name: "ignore-code-of-the-repository",
    setup(build) {
      const prefix = directory.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
      build.onLoad({ filter: new RegExp(`^${prefix}/`) }, () => ({ contents: "export default {}", loader: "js" }))
    },
  })

/** @type {import("./agent.d.ts").Plugin} */
export const Session = async ({ directory: workspace }) => {
  ignoreCodeOf(workspace)
  // The agent's own runtime has read it.
  delete process.env.BUN_JSC_largeHeapSize
  const { AGENT_GATEWAY: gateway = "", AGENT_HOOKS: directory, AGENT_COMMIT: commit = "HEAD" } = process.env
  const conversations = new Conversations()
  const gate = new Gate({ gateway, workspace })
  void gate.follow()
  const keeping = new Keeping({ gateway, tell: (wait) => gate.tell(wait) })
  const variables = new Variables({ gateway })
  // Not waited for: the first request need not be late for it.
  const loading = Hooks.load({ directory, workspace, commit })

  // Commands of the bash tool, by call, that have waited if they had to.
  /** @type {Map<string, string>} */
  const commands = new Map()

  /**
   * A call as hooks see it.
   *
   * @param {{ tool: string, sessionID: string }} call
   * @param {Record<string, unknown>} args
   * @returns {import("./hooks.d.ts").ToolCall}
   */
  const described = ({ tool, sessionID }, args) => {
    const wanted = writes(tool, args)
    return {
      tool,
      args,
      writes: wanted && !("paths" in wanted) ? "anything" : (wanted?.paths ?? []).flatMap((path) => places(workspace, path)),
      session: conversations.session(sessionID),
      author: conversations.author(sessionID),
    }
  }

  return {
    tool: {
      pull_request: pullRequest((body) => gate.ask("pull-request", body)),
      share_file: shareFile(gateway),
      update: update((body) => gate.ask("update", body)),
    },
    event: async ({ event }) => {
      if (event.type === "session.created" || event.type === "session.updated") conversations.known(event.properties.info)
      if (event.type === "message.part.updated") {
        // Of a call that failed, and of a command of the shell endpoint, the end is told nowhere else.
        const { part } = event.properties
        if (part.type === "tool" && (part.state.status === "completed" || part.state.status === "error")) keeping.after(part.callID)
      }
      if (event.type !== "session.idle") return
      const { sessionID } = event.properties
      /** @param {string} conversation */
      const rests = (conversation) => conversations.isUnder(conversation, sessionID)
      gate.waiting.stop(rests)
      // A terminal is of no conversation, and its end is not told.
      keeping.rest((conversation) => conversation === "" || rests(conversation))
      for (const [call, conversation] of commands) {
        if (conversation === sessionID) commands.delete(call)
      }
    },
    "chat.message": async ({ sessionID }, { parts }) => conversations.prompted(sessionID, parts),
    "shell.env": async ({ sessionID = "", callID = "" }, { env }) => {
      if (!commands.has(callID)) {
        // Which command it is, is not known here: it may write anything.
        const call = { tool: "shell", callID, sessionID }
        await gate.before(call, {})
        gate.after(call, {})
        await keeping.before(call, {})
      }
      Object.assign(env, await variables.get())
      // The user's folders, not the agent's own.
      const home = process.env.HOME
      env.XDG_CONFIG_HOME = `${home}/.config`
      env.XDG_DATA_HOME = `${home}/.local/share`
      env.XDG_STATE_HOME = `${home}/.local/state`
      env.XDG_CACHE_HOME = `${home}/.cache`
      const author = conversations.author(sessionID)
      if (author) Object.assign(env, { GIT_AUTHOR_NAME: author.name, GIT_AUTHOR_EMAIL: author.email })
    },
    "tool.execute.before": async (call, output) => {
      const hooks = await loading
      const args = await hooks.before(described(call, output.args))
      if (args !== output.args) {
        // The agent goes on with the object that it has.
        for (const name of Object.keys(output.args)) delete output.args[name]
        Object.assign(output.args, args)
      }
      await gate.before(call, output.args)
      await keeping.before(call, output.args)
      if (call.tool === "bash") commands.set(call.callID, call.sessionID)
    },
    "tool.execute.after": async (call, output) => {
      const note = gate.after(call, call.args)
      commands.delete(call.callID)
      if (note && typeof output.output === "string") output.output += `\n\n(${note})`
      keeping.after(call.callID)
      const hooks = await loading
      await hooks.after(described(call, call.args), typeof output.output === "string" ? output.output : "")
    },
    "experimental.chat.system.transform": async (_, { system }) => {
      system.push(...(await gate.said()))
      const hooks = await loading
      system.push(...(await hooks.context({ workspace })))
    },
  }
}
