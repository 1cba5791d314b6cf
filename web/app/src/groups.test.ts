import { expect, test } from "vitest";

import type { PullRequest, SessionSummary } from "#ui/protocol.ts";

import { families, groupOf, inOrder } from "./groups.ts";

function session(id: string, more: Partial<SessionSummary> = {}): SessionSummary {
  return {
    id,
    repository: "acme/store",
    branch: "main",
    title: id,
    state: "idle",
    created_by: { id: 1, login: "ada", name: "Ada", avatar: "" },
    created_at: 0,
    updated_at: 0,
    pull_requests: [],
    paused: false,
    ...more,
  };
}

const pull = (more: Partial<PullRequest> = {}): PullRequest => ({
  number: 1,
  url: "https://github.com/acme/store/pull/1",
  title: "",
  branch: "agent/x",
  state: "open",
  ...more,
});

const child = (id: string, of: string, more: Partial<SessionSummary> = {}) =>
  session(id, { parent: { session: of, prompt: "pmt_1" }, ...more });

test("what failed, was paused or waits for an answer needs somebody", () => {
  expect(groupOf(session("a", { state: "failed" }))).toBe("Needs you");
  expect(groupOf(session("a", { paused: true }))).toBe("Needs you");
  expect(groupOf(session("a"))).toBe("Needs you");
});

test("requested changes and failed checks need somebody, though a pull request is open", () => {
  expect(groupOf(session("a", { pull_requests: [pull({ review: "changes_requested" })] }))).toBe("Needs you");
  expect(groupOf(session("a", { pull_requests: [pull({ checks: "failed" })] }))).toBe("Needs you");
});

test("while the agent works on what was asked for, nobody has to do anything", () => {
  const asked = { pull_requests: [pull({ review: "changes_requested" })] };
  expect(groupOf(session("a", { state: "working", ...asked }))).toBe("Working");
  expect(groupOf(session("a", { state: "warming" }))).toBe("Working");
});

test("an open pull request of an idle session is ready for review", () => {
  expect(groupOf(session("a", { pull_requests: [pull()] }))).toBe("Ready for review");
  expect(groupOf(session("a", { pull_requests: [pull({ review: "approved", checks: "passed" })] }))).toBe("Ready for review");
  expect(groupOf(session("a", { pull_requests: [pull({ state: "merged" }), pull()] }))).toBe("Ready for review");
});

test("what is merged, closed or archived is done, whatever its checks said", () => {
  expect(groupOf(session("a", { pull_requests: [pull({ state: "merged", checks: "failed" })] }))).toBe("Done");
  expect(groupOf(session("a", { pull_requests: [pull({ state: "closed" })] }))).toBe("Done");
  expect(groupOf(session("a", { state: "archived", paused: true, pull_requests: [pull()] }))).toBe("Done");
});

test("forks stand beneath what they were forked from, the newest first", () => {
  const all = [
    session("root", { updated_at: 1 }),
    child("old", "root", { updated_at: 2 }),
    child("new", "root", { updated_at: 3 }),
    child("deep", "old", { updated_at: 4 }),
  ];
  const [family] = families(all);
  expect(family?.members.map(({ session: { id }, depth }) => [id, depth])).toEqual([
    ["root", 0],
    ["new", 1],
    ["old", 1],
    ["deep", 2],
  ]);
});

test("a fork whose parent is not in the list stands by itself", () => {
  expect(families([child("a", "elsewhere")])[0]?.members[0]?.depth).toBe(0);
});

test("a family stands where its most urgent member belongs", () => {
  const done = { state: "archived" } as const;
  expect(families([session("root", done), child("a", "root", { state: "working" })])[0]?.group).toBe("Working");
  expect(families([session("root", done), child("a", "root", done)])[0]?.group).toBe("Done");
});

test("the order of the list is the order of its groups", () => {
  const all = [
    session("done", { state: "archived", updated_at: 9 }),
    session("working", { state: "working", updated_at: 8 }),
    session("older", { updated_at: 1 }),
    session("newer", { updated_at: 2 }),
  ];
  expect(inOrder(all).map(({ id }) => id)).toEqual(["newer", "older", "working", "done"]);
});
