/** What every page must hold, whatever is on it. */
import type { Page } from "playwright-core";
import { expect } from "vitest";

import { axe } from "./axe.ts";

/** Nothing serious for whoever does not see or point, and nothing beside the screen. */
export async function inspect(page: Page): Promise<void> {
  expect(await axe(page)).toEqual([]);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow).toBe(0);
}
