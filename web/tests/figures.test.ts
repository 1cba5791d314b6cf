/** The statistics page. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { stage, useBrowser } from "./harness.ts";
import { inspect } from "./inspection.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;

beforeEach(async () => {
  on = await stage();
});
afterEach(() => on.close());

test("merged pull requests come first, and every chart has its table", async () => {
  const page = await on.open("/statistics");
  await page.getByRole("heading", { name: "Warm sandboxes" }).waitFor();
  const [first] = await page.getByRole("heading", { level: 2 }).allTextContents();
  expect(first).toBe("Merged pull requests");
  const figures = page.locator("figure");
  const count = await figures.count();
  expect(count).toBe(5);
  for (let index = 0; index < count; index += 1) {
    await figures.nth(index).getByText("As a table").click();
    await figures.nth(index).getByRole("table").waitFor();
  }
  await inspect(page);
});

test("who prompts now changes without a reload", async () => {
  const page = await on.open("/statistics");
  const tile = page.locator(".tile.live");
  await tile.getByText("3", { exact: true }).waitFor();
  await expect.poll(() => on.peer.lobby.listeners).toBe(1);
  on.peer.lobby.prompting(4);
  await tile.getByText("4", { exact: true }).waitFor();
});

test("days and repository are in the address, so that figures can be shared", async () => {
  const page = await on.open("/statistics");
  await page.getByRole("button", { name: "7 days" }).click();
  await page.getByText("in 7 days").waitFor();
  const repository = page.getByRole("combobox", { name: "Repository" });
  await repository.click();
  await page.getByRole("option", { name: "acme/payments" }).click();
  await page.waitForURL(/days=7&repository=acme%2Fpayments/);
  await page.reload();
  await page.getByText("in 7 days").waitFor();
  await expect.poll(() => repository.inputValue()).toBe("acme/payments");
});

test("nothing yet is said as nothing, and not as zero", async () => {
  const page = await on.open("/statistics?days=30&repository=acme%2Fnothing");
  await page.getByText("Nothing was merged in these days.").waitFor();
  await page.locator(".tile", { hasText: "Approval rate" }).getByText("–").first().waitFor();
});

test("figures that cannot be fetched can be asked for again", async () => {
  const page = await on.open("/");
  await page.getByText("No sessions yet").waitFor();
  on.peer.failing = 503;
  await page.getByRole("link", { name: "Statistics" }).first().click();
  await page.getByText("The service is being restarted.").waitFor();
  on.peer.failing = undefined;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "Merged pull requests" }).waitFor();
});
