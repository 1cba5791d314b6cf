import { expect, test } from "vitest";

import { rank, score } from "./fuzzy.ts";

const found = (query: string, items: string[]) => rank(query, items, (item) => item);

test("letters in their order are enough", () => {
  expect(found("nses", ["New session", "Statistics"])).toEqual(["New session"]);
  expect(score("xyz", "New session")).toBeUndefined();
});

test("the beginning of a word counts more than its middle", () => {
  expect(found("store", ["acme/restored", "acme/storefront"])).toEqual(["acme/storefront", "acme/restored"]);
});

test("what is there as one piece comes before strewn letters", () => {
  expect(found("cart", ["Check all routes twice", "Fix the cart"])[0]).toBe("Fix the cart");
});

test("every word has to fit, in any order", () => {
  expect(found("cart fix", ["Fix the cart", "Fix the list"])).toEqual(["Fix the cart"]);
});

test("letters that are strewn over a long text do not fit", () => {
  expect(score("abc", `a${"-x".repeat(20)}b${"-x".repeat(20)}c`)).toBeUndefined();
});

test("without a query everything stays as it was", () => {
  expect(found("  ", ["b", "a"])).toEqual(["b", "a"]);
});
