import { expect, test } from "vitest";

import { commentPrompt, fileTree, parseHunks, sideBySide, type Folder } from "./diff.ts";
import type { ChangedFile } from "./protocol.ts";

const PATCH = "@@ -8,4 +8,5 @@ impl Ord\n a\n-b\n-c\n+B\n+C\n+D\n e\n\\ No newline at end of file\n";

test("lines have the numbers that they have in their files", () => {
  const [hunk] = parseHunks(PATCH);
  expect(hunk?.section).toBe("impl Ord");
  expect(hunk?.lines.map((line) => [line.kind, line.old, line.new, line.text])).toEqual([
    ["context", 8, 8, "a"],
    ["removed", 9, undefined, "b"],
    ["removed", 10, undefined, "c"],
    ["added", undefined, 9, "B"],
    ["added", undefined, 10, "C"],
    ["added", undefined, 11, "D"],
    ["context", 11, 12, "e"],
  ]);
  expect(hunk?.lines.map((line) => line.unended)).toEqual([false, false, false, false, false, false, true]);
});

test("an empty patch has no hunks, and what stands before the first is left out", () => {
  expect(parseHunks("")).toEqual([]);
  expect(parseHunks("rubbish\n+x\n")).toEqual([]);
});

test("what replaces a line stands beside it", () => {
  const pairs = sideBySide(parseHunks(PATCH)[0]?.lines ?? []);
  expect(pairs.map(({ left, right }) => [left?.text, right?.text])).toEqual([
    ["a", "a"],
    ["b", "B"],
    ["c", "C"],
    [undefined, "D"],
    ["e", "e"],
  ]);
});

test("a comment quotes its line, which cannot end the quotation", () => {
  const [hunk] = parseHunks("@@ -1 +1 @@\n+let a = `x`; ```\n");
  const [line] = hunk?.lines ?? [];
  if (!line) throw new Error("no line");
  expect(commentPrompt("src/a.ts", line, " Why? ")).toBe("About `src/a.ts`, line 1:\n\n````\nlet a = `x`; ```\n````\n\nWhy?");
});

test("folders that hold nothing but a folder are one", () => {
  const file = (path: string): ChangedFile => ({ path, change: "added", patch: { kind: "binary" } });
  const names = (folder: Folder): unknown => [folder.name, ...folder.folders.map(names), ...folder.files.map(({ name }) => name)];
  expect(names(fileTree([file("a/b/c.rs"), file("a/b/d/e.rs"), file("f/g/h.rs"), file("i.rs")]))).toEqual([
    "",
    ["a/b", ["d", "e.rs"], "c.rs"],
    ["f/g", "h.rs"],
    "i.rs",
  ]);
});
