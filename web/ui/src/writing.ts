/**
 * Which tools leave the files as they are. What is not known here, such as a command or a tool of
 * the repository's own, may write anything; so may a sub-agent, whose calls are not in the log.
 */
const READERS: ReadonlySet<string> = new Set([
  "codesearch",
  "glob",
  "grep",
  "invalid",
  "list",
  "lsp",
  "pull_request",
  "question",
  "read",
  "share_file",
  "skill",
  "todoread",
  "todowrite",
  "webfetch",
  "websearch",
]);

export const mayWrite = (tool: string): boolean => !READERS.has(tool);
