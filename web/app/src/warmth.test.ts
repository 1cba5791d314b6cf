import { expect, test } from "vitest";

import type { Event, Fact } from "#ui/protocol.ts";

import { COLD, warmer, warmthWords } from "./warmth.ts";

function after(...facts: [number, Fact][]): string {
  const events = facts.map(([at, fact], index): Event => ({ seq: index + 1, at, ...fact }));
  return warmthWords(events.reduce(warmer, COLD));
}

const starting: Fact = { type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 };
const ready: Fact = { type: "sandbox_ready", sandbox: "sbx_1", epoch: 1, image: "img_1", commit: "1a2b3c" };
const claim: Fact = { type: "step", step: { name: "claim", started_at: 0, ms: 12, detail: "from the pool" } };
const restored: Fact = { type: "step", step: { name: "restore", started_at: 0, ms: 5, detail: "warm" } };

test("it is said what is waited for", () => {
  expect(after()).toBe("Asking for a sandbox…");
  expect(after([0, starting])).toBe("Sandbox starting…");
  expect(after([0, starting], [12, claim])).toBe("Sandbox claimed in 12 ms (from the pool), starting…");
});

test("what is ready says how long it took and what it came from", () => {
  expect(after([100, starting], [112, claim], [412, ready])).toBe("Sandbox ready in 312 ms (from the pool)");
  expect(after([100, starting], [112, claim], [120, restored], [412, ready])).toBe("Sandbox ready in 312 ms (warm)");
  expect(after([112, claim], [112, starting], [412, ready])).toBe("Sandbox ready in 300 ms (from the pool)");
});

test("a sandbox that went away is not called ready", () => {
  const slept: Fact = { type: "sandbox_slept", sandbox: "sbx_1", epoch: 1, snapshot: "snp_1" };
  const lost: Fact = { type: "sandbox_lost", sandbox: "sbx_1", epoch: 1, reason: "the runner died" };
  expect(after([0, starting], [9, ready], [99, slept])).toMatch("rests");
  expect(after([0, starting], [9, ready], [99, lost])).toMatch("lost");
});
