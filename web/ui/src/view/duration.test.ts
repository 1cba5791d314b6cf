import { expect, test } from "vitest";

import { ago, age, duration } from "./duration.ts";

test("a duration has the unit that suits its size", () => {
  expect([0, 412, 999.6, 3_240, 12_400, 59_949, 59_960, 60_000, 192_000, 7_500_000].map(duration)).toEqual([
    "0 ms",
    "412 ms",
    "1.0 s",
    "3.2 s",
    "12 s",
    "60 s",
    "1 min",
    "1 min",
    "3 min 12 s",
    "2 h 5 min",
  ]);
});

test("an age is coarse, and a date when it is old", () => {
  const now = Date.UTC(2026, 8, 1, 12);
  expect([0, 59_000, 300_000, 7_200_000, 172_800_000].map((ms) => age(now - ms, now))).toEqual([
    "now",
    "now",
    "5 min",
    "2 h",
    "2 d",
  ]);
  expect(age(Date.UTC(2026, 1, 3, 12), now)).toContain("2026");
});

test("how long ago something was can stand in a sentence", () => {
  const now = 100 * 24 * 60 * 60_000;
  expect(ago(now, now)).toBe("just now");
  expect(ago(now - 12 * 60_000, now)).toBe("12 min ago");
  expect(ago(now - 30 * 24 * 60 * 60_000, now)).toMatch(/^on .*1970$/);
});
