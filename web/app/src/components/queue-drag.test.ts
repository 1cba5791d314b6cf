import { expect, test } from "vitest";

import { placeOf } from "./queue-drag.ts";

const rows = [
  { top: 0, height: 40 },
  { top: 40, height: 40 },
  { top: 80, height: 80 },
  { top: 160, height: 40 },
];

test("a row takes the place of those whose middle it has passed", () => {
  expect(placeOf(rows, 0, 0)).toBe(0);
  expect(placeOf(rows, 0, 20)).toBe(0);
  expect(placeOf(rows, 0, 21)).toBe(1);
  expect(placeOf(rows, 0, 81)).toBe(2);
  expect(placeOf(rows, 0, 500)).toBe(3);
  expect(placeOf(rows, 3, -19)).toBe(3);
  expect(placeOf(rows, 3, -41)).toBe(2);
  expect(placeOf(rows, 3, -101)).toBe(1);
  expect(placeOf(rows, 3, -500)).toBe(0);
});

test("a row that is not there any more stays where it was", () => {
  expect(placeOf(rows, 9, 100)).toBe(9);
});
