import { expect, test } from "vitest";

import { detail, plainOutput, summarise } from "./tool.ts";

test("a command speaks for itself", () => {
  const input = JSON.stringify({ command: "cargo test\necho done", description: "Runs the tests" });
  expect(summarise("bash", "read x")).toEqual({ icon: "terminal", verb: "", subject: "read x" });
  expect(detail("bash", input)).toEqual({ command: "cargo test\necho done", change: undefined, rest: [] });
});

test("other tools are told by verb and subject", () => {
  expect(summarise("read", "read src/lib.rs")).toEqual({ icon: "file", verb: "Read", subject: "src/lib.rs" });
  expect(summarise("grep", "search for fn main")).toEqual({ icon: "search", verb: "Search for", subject: "fn main" });
  expect(summarise("todowrite", "plan")).toEqual({ icon: "list", verb: "", subject: "plan" });
});

test("an edit shows only the lines that differ", () => {
  const input = JSON.stringify({ filePath: "a.rs", oldString: "fn f() {\n  1\n}", newString: "fn f() {\n  2\n}" });
  expect(detail("edit", input)).toEqual({
    command: undefined,
    change: { removed: ["  1"], added: ["  2"] },
    rest: [],
  });
});

test("an unknown tool is told by its name and title, with all its arguments", () => {
  expect(summarise("jira_search", "jira_search").icon).toBe("wrench");
  expect(detail("jira_search", '{"query":"x","limit":3}').rest).toEqual([
    ["query", "x"],
    ["limit", "3"],
  ]);
});

test("arguments that were cut are shown as they are", () => {
  expect(detail("write", '{"filePath":"a","content":"lon').rest).toEqual([["input", '{"filePath":"a","content":"lon']]);
});

test("terminal control sequences are left out", () => {
  expect(plainOutput("\u001b[32mok\u001b[0m\r\n\u001b]0;title\u0007done")).toBe("ok\ndone");
});
