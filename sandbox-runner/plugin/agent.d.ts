/** What the agent server calls of a plugin, as far as it is used here. */
export type Plugin = (place: { directory: string }) => Promise<{
  tool: Record<string, Tool>
  event(input: { event: Event }): Promise<void>
  "chat.message"(input: { sessionID: string }, output: { parts: Part[] }): Promise<void>
  "shell.env"(input: { sessionID?: string; callID?: string }, output: { env: Record<string, string> }): Promise<void>
  "tool.execute.before"(call: Call, output: { args: Record<string, unknown> }): Promise<void>
  /** The output of an MCP server's tool is no text. */
  "tool.execute.after"(call: Call & { args: Record<string, unknown> }, output: { output?: unknown }): Promise<void>
  "experimental.chat.system.transform"(input: unknown, output: { system: string[] }): Promise<void>
}>

/** A tool of the plugin's own. The server requires all of its arguments of the model. */
export interface Tool {
  description: string
  /** JSON schemas of the arguments. */
  args: Record<string, { type: string; description: string }>
  execute(args: Record<string, unknown>, context: { abort?: AbortSignal }): Promise<string>
}

interface Call {
  tool: string
  sessionID: string
  callID: string
}

interface Part {
  metadata?: { author?: { name?: string; email?: string } }
}

type Event =
  | { type: "session.created" | "session.updated"; properties: { info: { id: string; parentID?: string; title?: string } } }
  | {
      type: "message.part.updated"
      properties: { part: { type: "tool"; callID: string; state: { status: string } } | { type: "other" } }
    }
  | { type: "session.idle"; properties: { sessionID: string } }
  | { type: "other" }

/** What the server's runtime has, as far as it is used here. */
declare global {
  const Bun: {
    plugin(options: {
      name: string
      setup(build: {
        onLoad(filter: { filter: RegExp }, load: () => { contents: string; loader: "js" }): void
      }): void
    }): void
  }
}
