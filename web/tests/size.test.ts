/** How much there is to load. */
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";
import { expect, test } from "vitest";

import { MOST_BYTES, firstLoad } from "./first-load.ts";

test("a session can be read and written to with 120 kB of JavaScript, and no panel's", async () => {
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM_BIN"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
  const loaded = await firstLoad(browser, fileURLToPath(new URL("../dist", import.meta.url)));
  await browser.close();
  const bytes = [...loaded.values()].reduce((sum, size) => sum + size, 0);
  console.log(`${Math.round(bytes / 1024)} kB: ${[...loaded].map(([path, size]) => `${path} ${size}`).join(", ")}`);
  expect(loaded.size).toBeGreaterThan(1);
  expect(bytes).toBeLessThanOrEqual(MOST_BYTES);
  expect([...loaded.keys()].filter((path) => /Terminal|ChangesPanel|PullRequestsPanel/.test(path))).toEqual([]);
});
