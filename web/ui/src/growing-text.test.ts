import { expect, test } from "vitest";

import { GrowingText } from "./growing-text.ts";

test("what is new is read from any place, however the text arrived", () => {
  const growing = new GrowingText();
  const whole = Array.from({ length: 700 }, (_, index) => `${index},`).join("");
  for (const piece of whole.match(/.{1,7}/g) ?? []) growing.append(piece);
  for (const offset of [0, 1, 1_023, 1_024, 1_030, 2_000, whole.length - 1, whole.length]) {
    expect(growing.since(offset)).toBe(whole.slice(offset));
  }
  expect([growing.text(), growing.length, growing.revision]).toEqual([whole, whole.length, 0]);
});

test("the same with more behind it is growth, and anything else another text", () => {
  const growing = new GrowingText();
  growing.append("one");
  growing.replace("one two");
  growing.replace("one two");
  expect([growing.since(3), growing.revision]).toEqual([" two", 0]);
  growing.replace("other");
  expect([growing.text(), growing.since(0), growing.revision]).toEqual(["other", "other", 1]);
  growing.append("s");
  expect(growing.since(4)).toBe("rs");
});
