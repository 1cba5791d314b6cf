import { expect, test } from "vitest";

import { open, opened, type OpenPage } from "./opening.ts";

/** Pages that write down what happens to them. */
function pages(...paths: string[]): { all: OpenPage[]; done: string[]; anew: (path: string) => Promise<void> } {
  const done: string[] = [];
  const all = paths.map((path) => ({
    url: `https://agents.example.com${path}`,
    focus: async () => void done.push(`${path} is looked at`),
    postMessage: (message: { path: string }) => void done.push(`${path} shows ${message.path}`),
  }));
  return { all, done, anew: async (path) => void done.push(`${path} is opened`) };
}

test("the page that shows the session already is looked at", async () => {
  const { all, done, anew } = pages("/", "/sessions/ses_1");
  await open("/sessions/ses_1", all, anew);
  expect(done).toEqual(["/sessions/ses_1 shows /sessions/ses_1", "/sessions/ses_1 is looked at"]);
});

test("else the page that was looked at last shows it", async () => {
  const { all, done, anew } = pages("/settings", "/");
  await open("/sessions/ses_1", all, anew);
  expect(done).toEqual(["/settings shows /sessions/ses_1", "/settings is looked at"]);
});

test("a tab that holds no page of ours is passed over", async () => {
  const { all, done, anew } = pages("/api/sessions/ses_1/artifacts/art_1", "/auth/login", "/slack/install", "/apiary");
  await open("/sessions/ses_1", all, anew);
  expect(done).toEqual(["/apiary shows /sessions/ses_1", "/apiary is looked at"]);
  done.length = 0;
  await open("/sessions/ses_1", all.slice(0, 3), anew);
  expect(done).toEqual(["/sessions/ses_1 is opened"]);
});

test("without a page one is opened", async () => {
  const { done, anew } = pages();
  await open("/sessions/ses_1", [], anew);
  expect(done).toEqual(["/sessions/ses_1 is opened"]);
});

test("only sessions of ours are opened", () => {
  expect(opened({ type: "open", path: "/sessions/ses_1" })).toBe("/sessions/ses_1");
  for (const path of ["https://example.com/", "//example.com/sessions/ses_1", "/sessions/../auth/logout", 1]) {
    expect(opened({ type: "open", path })).toBeUndefined();
  }
  expect(opened("/sessions/ses_1")).toBeUndefined();
});
