/**
 * Hunks of a unified diff as rows, one under the other or side by side, and a comment on a line as
 * a prompt. Purely; what a patch says is a repository's own, so nothing about it is sure.
 */
import type { ChangedFile } from "./protocol.ts";

export interface Line {
  readonly kind: "context" | "added" | "removed";
  /** In the file before; absent for added lines. */
  readonly old: number | undefined;
  readonly new: number | undefined;
  readonly text: string;
  /** The last of its file, without a line break behind it. */
  readonly unended: boolean;
}

export interface Hunk {
  /** What stands around it: "impl Ord for Version". */
  readonly section: string;
  readonly oldStart: number;
  readonly newStart: number;
  readonly lines: readonly Line[];
}

export interface Pair {
  readonly left: Line | undefined;
  readonly right: Line | undefined;
}

const HEAD = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)$/;

export function parseHunks(patch: string): Hunk[] {
  const hunks: (Hunk & { lines: Line[] })[] = [];
  let old = 0;
  let now = 0;
  // What follows the last line break is no line.
  for (const row of patch.replace(/\n$/, "").split("\n")) {
    const head = HEAD.exec(row);
    const hunk = hunks.at(-1);
    if (head) {
      old = Number(head[1]);
      now = Number(head[2]);
      hunks.push({ section: head[3] ?? "", oldStart: old, newStart: now, lines: [] });
    } else if (hunk && row.startsWith("\\")) {
      const last = hunk.lines.pop();
      if (last) hunk.lines.push({ ...last, unended: true });
    } else if (hunk) {
      const kind = row.startsWith("+") ? "added" : row.startsWith("-") ? "removed" : "context";
      hunk.lines.push({
        kind,
        old: kind === "added" ? undefined : old++,
        new: kind === "removed" ? undefined : now++,
        text: row.slice(1).replace(/\r$/, ""),
        unended: false,
      });
    }
  }
  return hunks;
}

/** What was removed beside what was added in its place. */
export function sideBySide(lines: readonly Line[]): Pair[] {
  const pairs: Pair[] = [];
  let removed: Line[] = [];
  let added: Line[] = [];
  const flush = () => {
    for (let index = 0; index < Math.max(removed.length, added.length); index += 1) {
      pairs.push({ left: removed[index], right: added[index] });
    }
    removed = [];
    added = [];
  };
  for (const line of lines) {
    if (line.kind === "removed") removed.push(line);
    else if (line.kind === "added") added.push(line);
    else {
      flush();
      pairs.push({ left: line, right: line });
    }
  }
  flush();
  return pairs;
}

/** What the agent is asked when somebody comments on a line. */
export function commentPrompt(path: string, line: Line, comment: string): string {
  const place =
    line.new === undefined ? `line ${line.old} as it was before (it was removed)` : `line ${line.new}`;
  // Longer than any backticks within, so that the quoted line cannot end its block.
  const fence = "`".repeat(Math.max(3, 1 + Math.max(0, ...[...line.text.matchAll(/`+/g)].map(([run]) => run.length))));
  return `About ${quoted(path)}, ${place}:\n\n${fence}\n${line.text}\n${fence}\n\n${comment.trim()}`;
}

function quoted(path: string): string {
  return path.includes("`") ? JSON.stringify(path) : `\`${path}\``;
}

export interface Folder {
  /** Several at once where each holds only the next: "src/view". */
  readonly name: string;
  readonly folders: readonly Folder[];
  readonly files: readonly { readonly name: string; readonly file: ChangedFile }[];
}

export function fileTree(files: readonly ChangedFile[]): Folder {
  interface Growing {
    folders: Map<string, Growing>;
    files: { name: string; file: ChangedFile }[];
  }
  const root: Growing = { folders: new Map(), files: [] };
  for (const file of files) {
    const names = file.path.split("/");
    const name = names.pop() ?? file.path;
    let at = root;
    for (const folder of names) {
      const next = at.folders.get(folder) ?? { folders: new Map(), files: [] };
      at.folders.set(folder, next);
      at = next;
    }
    at.files.push({ name, file });
  }
  const grown = (name: string, at: Growing): Folder => {
    const [only] = at.folders;
    if (only && at.folders.size === 1 && at.files.length === 0 && name !== "") {
      return grown(`${name}/${only[0]}`, only[1]);
    }
    return { name, folders: [...at.folders].map(([inner, folder]) => grown(inner, folder)), files: at.files };
  };
  return grown("", root);
}
