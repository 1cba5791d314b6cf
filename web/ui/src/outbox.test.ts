import { expect, test } from "vitest";

import { promptProblem, requestId } from "./outbox.ts";

test("request ids are 128 random bits", () => {
  expect(requestId()).toMatch(/^[0-9a-f]{32}$/);
  expect(requestId()).not.toBe(requestId());
});

test("an empty prompt is refused", () => {
  expect(promptProblem(" \n ")).toBe("Write something first.");
});

test("the longest prompt fits, one character more does not", () => {
  expect(promptProblem("a".repeat(32 * 1024))).toBeUndefined();
  expect(promptProblem("a".repeat(32 * 1024 + 1))).toContain("32,769 characters");
});
