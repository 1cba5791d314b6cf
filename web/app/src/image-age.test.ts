import { expect, test } from "vitest";

import { imageSentence, imageWords } from "./image-age.ts";

const MINUTE = 60_000;
const now = 100 * MINUTE;

test("an image has its age", () => {
  expect(imageWords({ state: "ready", built_at: now - 12 * MINUTE }, now)).toBe("built 12 min ago");
  expect(imageWords({ state: "unchanged", built_at: now }, now)).toBe("built just now");
});

test("what is built beside it or failed after it is said too", () => {
  expect(imageWords({ state: "building", built_at: now - 40 * MINUTE }, now)).toBe("built 40 min ago, rebuilding");
  expect(imageWords({ state: "failed", built_at: now - 40 * MINUTE }, now)).toBe("built 40 min ago, last build failed");
});

test("without an image it is said why", () => {
  expect(imageWords(undefined, now)).toBe("no image yet");
  expect(imageWords({ state: "requested" }, now)).toBe("first image is building");
  expect(imageWords({ state: "failed" }, now)).toBe("image failed");
});

test("a sentence says what it is about once", () => {
  expect(imageSentence({ state: "ready", built_at: now - 12 * MINUTE }, now)).toBe("Image built 12 min ago");
  expect(imageSentence(undefined, now)).toBe("No image yet");
});
