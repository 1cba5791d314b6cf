import { expect, test } from "vitest";

import { BlockSplitter } from "./markdown.ts";

const DOCUMENTS: Record<string, string> = {
  paragraphs: "One **bold** word.\n\nTwo `code` words.\n\nThree.",
  headings: "# One\ntext\n## Two\n\nSetext\n======\n\nmore\n",
  fences: "Before\n```rust\nfn main() {}\n\n// still code\n```\nAfter\n\n~~~\nopen to the end\n\n- not a list",
  lists: "- one\n- two\n\n  still two\n\n- three\n\n1. a\n2. b\n   - c\n\nend",
  tables: "intro\n\n| a | b |\n| - | :-: |\n| 1 | 2 |\n| 3 | 4 |\n\nafter",
  quotes: "> a\n> b\nlazy\n\n> c\n\nd",
  rules: "Text\n***bold*** goes on\n\n---\n\nText\n---\nafter",
  html: "a <b>c</b>\n\n<div>\n\nx\n\n</div>\n\n<script>\nalert(1)\n</script>\n\nend",
  references: "See [the book][b] and [a].\n\nMore.\n\n[b]: https://example.com/b\n[a]: https://example.com/a\n\nAnd [b] again.",
  windows: "One\r\n\r\nTwo\r\n\r\n```\r\ncode\r\n```\r\n\r\nThree\r\n",
  unicode: "Grüße 👋🏽\n\n- ✓ done\n\nÉtude",
};

function stream(text: string, sizes: () => number): string {
  const splitter = new BlockSplitter();
  let shown = "";
  let at = 0;
  while (at < text.length) {
    const from = at;
    at = Math.min(text.length, at + sizes());
    const { settled, whole } = splitter.add(text.slice(from, at), at === text.length);
    shown = whole ? settled : shown + settled;
  }
  return shown;
}

function whole(text: string): string {
  return new BlockSplitter().add(text, true).settled;
}

for (const [name, text] of Object.entries(DOCUMENTS)) {
  for (const size of [1, 2, 3, 7, 16, 64]) {
    test(`${name} streamed ${size} at a time render as they do at once`, () => {
      expect(stream(text, () => size)).toBe(whole(text));
    });
  }
}

test("text cut at random places renders as it does at once", () => {
  let seed = 7;
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const all = Object.values(DOCUMENTS);
  for (let round = 0; round < 300; round += 1) {
    const text = `${all[random(all.length)]}\n\n${all[random(all.length)]}`;
    expect(stream(text, () => 1 + random(24)), JSON.stringify(text)).toBe(whole(text));
  }
});

test("blocks that cannot change any more are settled before the text ends", () => {
  const splitter = new BlockSplitter();
  expect(splitter.add("One.\n\nTwo", false)).toMatchObject({ settled: "<p>One.</p>\n", tail: "<p>Two</p>\n" });
  expect(splitter.add(" grows.\n\n", false).settled).toBe("");
  expect(splitter.add("T", false).settled).toBe("<p>Two grows.</p>\n");
});

test("raw HTML is shown as text", () => {
  expect(whole("a <img src=x onerror=alert(1)> b")).not.toContain("<img");
  expect(whole("<script>alert(1)</script>")).toBe("<p>&#60;script&#62;alert(1)&#60;/script&#62;</p>\n");
  expect(whole("x <pre>y <img src=q onerror=alert(1) ")).not.toContain("<img");
});

test("an image becomes a link, so that nothing is fetched", () => {
  expect(whole("![a chart](https://example.com/c.png?q=1&r=2)")).toBe(
    '<p><a href="https://example.com/c.png?q=1&#38;r=2">a chart</a></p>\n',
  );
});
