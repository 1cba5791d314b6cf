import { expect, test } from "vitest";

import { specificationOf, written } from "./specification.ts";

const nothing = { runtime: "", packages: "", setup: "" };

test("a specification is read back as it was written", () => {
  const specification = { runtime: { node: "20", python: "3.11" }, packages: ["jq", "libpq-dev"], setup: "make deps" };
  expect(specificationOf(written(specification))).toEqual(specification);
});

test("nothing written is no specification", () => {
  expect(specificationOf(nothing)).toBeUndefined();
  expect(specificationOf(written(undefined))).toBeUndefined();
});

test("runtimes may be written as other tools have them", () => {
  expect(specificationOf({ ...nothing, runtime: "python=3.11\n\n node: 20 \ngo@1.24" })).toEqual({
    runtime: { python: "3.11", node: "20", go: "1.24" },
  });
});

test("packages may stand in one line", () => {
  expect(specificationOf({ ...nothing, packages: "jq, curl\nripgrep" })).toEqual({ packages: ["jq", "curl", "ripgrep"] });
});

test("a runtime without a version is refused in words", () => {
  expect(specificationOf({ ...nothing, runtime: "python" })).toEqual({
    problem: "“python” is no runtime: write its name and its version, as in “python 3.11”.",
  });
});
