/** The default export of a hook file. Every part of it may be left out. */
export interface Hook {
  /** For messages; the file's name if it has none. */
  readonly name?: string
  /** Whether a tool call fails when `beforeTool` does. Otherwise it goes on as if without the hook. */
  readonly required?: boolean
  /** Before a tool runs, a sub-agent's too. Blocks the call, changes its arguments, or lets it be. */
  beforeTool?(call: ToolCall): Answer | Promise<Answer>
  /** After a tool has run without an error. */
  afterTool?(call: ToolCall & { readonly output: string }): void | Promise<void>
  /** Before each request to the model: text for its instructions, at most 16,384 characters. */
  context?(place: { readonly workspace: string }): string | undefined | Promise<string | undefined>
}

export interface ToolCall {
  /** `bash`, `edit`, `write`, `read`, `task`… or a tool of an MCP server. */
  readonly tool: string
  /** As the agent gave them; a copy. */
  readonly args: Readonly<Record<string, unknown>>
  /** What it may write, from the root of the workspace; none for a call that only reads. */
  readonly writes: readonly string[] | "anything"
  readonly session: string
  /** Whoever prompted, if that is known. */
  readonly author?: { readonly name: string; readonly email: string } | undefined
}

export type Answer =
  | undefined
  | void
  /** The agent reads the reason. */
  | { readonly block: string; readonly args?: undefined }
  /** In place of the arguments. */
  | { readonly args: Record<string, unknown>; readonly block?: undefined }
