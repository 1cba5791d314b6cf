import { expect, test } from "vitest";

import { growth } from "./growth.ts";

test("letters at the end of a paragraph are all that is new", () => {
  expect(growth("<p>One</p>\n", "<p>One more</p>\n")).toEqual({ text: " more", before: "", within: ["p"] });
});

test("it is known how deep they stand", () => {
  const growing = growth("<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n", "<ul>\n<li>a</li>\n<li>bc</li>\n</ul>\n");
  expect(growing).toEqual({ text: "c", before: "", within: ["ul", "li"] });
});

test("code grows before the end of its last line, and by lines", () => {
  const code = (text: string) => `<pre tabindex="0"><code>${text}\n</code></pre>\n`;
  expect(growth(code("let"), code("let a"))).toEqual({ text: " a", before: "\n", within: ["pre", "code"] });
  expect(growth(code("a\n"), code("a\nb"))).toEqual({ text: "b", before: "\n", within: ["pre", "code"] });
});

test.each([
  ["a tag", "<p>a</p>", "<p>a<em>b</em></p>"],
  ["an entity", "<p>a</p>", "<p>a&#38;</p>"],
  ["another block", "<p>a</p>\n", "<p>a</p>\n<p>b</p>\n"],
  ["another kind of block", "<p>a</p>\n", "<h3>a</h3>\n"],
  ["something in the middle", "<p>a <em>b</em> c</p>", "<p>a <em>bd</em> c</p>"],
  ["an attribute", '<p><a href="h">x</a></p>', '<p><a href="hh">x</a></p>'],
  ["less", "<p>ab</p>", "<p>a</p>"],
  ["nothing", "<p>a</p>", "<p>a</p>"],
  ["the first", "", "<p>a</p>"],
])("%s is more than letters", (_, old, grown) => {
  expect(growth(old, grown)).toBeUndefined();
});
