/** What a tool call is about. Its arguments are the agent's own, so nothing about them is sure. */
import type { IconName } from "./Icon.tsx";

export interface ToolSummary {
  readonly icon: IconName;
  /** "Read", "Edit"; empty for a command, which says it all. */
  readonly verb: string;
  readonly subject: string;
}

export interface ToolDetail {
  readonly command: string | undefined;
  readonly change: { readonly removed: readonly string[]; readonly added: readonly string[] } | undefined;
  /** Arguments that neither of these shows. */
  readonly rest: readonly (readonly [name: string, value: string])[];
}

type Arguments = Readonly<Record<string, unknown>>;

const ICONS: Record<string, IconName> = {
  bash: "terminal",
  read: "file",
  list: "list",
  glob: "search",
  grep: "search",
  edit: "pencil",
  multiedit: "pencil",
  write: "pencil",
  patch: "pencil",
  apply_patch: "pencil",
  webfetch: "globe",
  task: "spark",
  todowrite: "list",
};

/** Arguments that the one line tells already. */
const TOLD = ["filePath", "path", "pattern", "command", "description"];

/** From the runner's title ("read src/lib.rs", "cargo test"). */
export function summarise(tool: string, title: string): ToolSummary {
  const icon = ICONS[tool] ?? "wrench";
  const [, verb, subject] = /^(read|edit|multiedit|write|list|find|search for|skill) (.+)$/.exec(title) ?? [];
  if (tool === "bash" || verb === undefined || subject === undefined) return { icon, verb: "", subject: title || tool };
  return { icon, verb: verb.charAt(0).toUpperCase() + verb.slice(1), subject };
}

export function detail(tool: string, input: string): ToolDetail {
  const given = parse(input);
  const shown = new Set(tool in ICONS ? TOLD : []);
  const command = tool === "bash" && typeof given["command"] === "string" ? given["command"] : undefined;
  const { oldString, newString, content } = given;
  let change: ToolDetail["change"];
  if (typeof oldString === "string" && typeof newString === "string") {
    change = changedLines(oldString, newString);
    shown.add("oldString").add("newString");
  } else if (tool === "write" && typeof content === "string") {
    change = { removed: [], added: lines(content) };
    shown.add("content");
  }
  const rest = Object.entries(given)
    .filter(([name]) => !shown.has(name))
    .map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value, null, 2)] as const);
  return { command, change, rest };
}

/** Colours and cursor movements of a terminal, which a page does not play back. */
export function plainOutput(text: string): string {
  return text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\r(?=\n)/g, "");
}

function parse(input: string): Arguments {
  try {
    const value: unknown = JSON.parse(input);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Arguments) : {};
  } catch {
    // Long arguments are cut and are no JSON any more.
    return input ? { input } : {};
  }
}

function lines(text: string): string[] {
  return text.replace(/\n$/, "").split("\n");
}

/** Without the lines that both begin and end with. */
function changedLines(before: string, after: string): { removed: string[]; added: string[] } {
  const removed = lines(before);
  const added = lines(after);
  while (removed.length > 0 && added.length > 0 && removed[0] === added[0]) {
    removed.shift();
    added.shift();
  }
  while (removed.length > 0 && added.length > 0 && removed.at(-1) === added.at(-1)) {
    removed.pop();
    added.pop();
  }
  return { removed, added };
}
