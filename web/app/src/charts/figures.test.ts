import { expect, test } from "vitest";

import { average, ceiling, dayName, dollars, percent, poolCost, time, trendOf, trendWords } from "./figures.ts";

const days = (...merged: number[]) => merged.map((one, index) => ({ day: `2026-11-0${index + 1}`, opened: one, merged: one }));

test("what there is nothing of is a dash and not a zero", () => {
  expect([percent(null), average(null), time(null), dollars(null)]).toEqual(["–", "–", "–", "–"]);
  expect([percent(0), dollars(0)]).toEqual(["0 %", "$0.00"]);
});

test("money has cents where they matter", () => {
  expect(dollars(1_840_000)).toBe("$1.84");
  expect(dollars(263_120_000)).toBe("$263");
  expect(dollars(4_000)).toBe("< $0.01");
});

test("the trend is the later half against the earlier one", () => {
  expect(trendOf(days(1, 1, 9, 2, 2))).toEqual({ days: 2, before: 2, after: 4 });
  expect(trendWords({ days: 2, before: 2, after: 4 })).toBe("100 % more: 4 in the last 2 days, 2 in the 2 before");
  expect(trendWords({ days: 2, before: 4, after: 3 })).toMatch(/^25 % fewer/);
  expect(trendWords({ days: 2, before: 0, after: 3 })).toBe("3 in the last 2 days, 0 in the 2 before");
});

test("an axis ends at a round number", () => {
  expect([0, 3, 7, 12, 38, 100, 101].map(ceiling)).toEqual([4, 4, 10, 20, 40, 100, 200]);
});

test("what the pool costs is told where it is known, and against its budget where there is one", () => {
  const pool = { cost_microdollars: 11_200_000, cost_today_microdollars: 1_500_000, budget_microdollars: null };
  expect(poolCost(pool)).toBe("They cost $11.20, today $1.50.");
  expect(poolCost({ ...pool, budget_microdollars: 2_000_000 })).toBe("They cost $11.20, today $1.50 of $2.00.");
  expect(poolCost({ ...pool, cost_microdollars: null })).toBe("");
});

test("a day is the same day everywhere", () => {
  expect(dayName("2026-11-30")).toBe("30 Nov");
});
