/** With SCREENSHOTS=<folder>: pictures of every page but the session's, wide and narrow, light and dark. */
import { mkdirSync } from "node:fs";

import type { Page } from "playwright-core";
import { expect, test } from "vitest";

import { picture } from "../dev/picture.ts";
import { populated } from "../dev/world.ts";
import { stage, useBrowser, type Stage } from "./harness.ts";

const folder = process.env["SCREENSHOTS"] ?? "";

const VIEWS = [
  { name: "desktop", width: 1440, height: 900, dark: false },
  { name: "desktop-dark", width: 1440, height: 900, dark: true },
  { name: "phone", width: 390, height: 844, dark: false },
  { name: "phone-dark", width: 390, height: 844, dark: true },
];

useBrowser();

for (const view of VIEWS) {
  test.runIf(folder)(`every page can be pictured: ${view.name}`, { timeout: 180_000 }, async () => {
    mkdirSync(folder, { recursive: true });
    const on = await stage(populated(Date.now()));
    const phone = view.width < 500;
    const page = await on.open("/", {
      viewport: { width: view.width, height: view.height },
      deviceScaleFactor: phone ? 2 : 1,
      hasTouch: phone,
      colorScheme: view.dark ? "dark" : "light",
    });
    const written: string[] = [];
    const shot = async (name: string, fullPage = false) => {
      await page.waitForFunction(atRest);
      const path = `${folder}/${name}-${view.name}.png`;
      await page.screenshot({ path, fullPage });
      written.push(path);
    };
    await takePages(on, page, shot);
    expect(written.length).toBe(20);
    await on.close();
  });
}

async function takePages(on: Stage, page: Page, shot: (name: string, fullPage?: boolean) => Promise<void>): Promise<void> {
  const open = (path: string) => page.goto(`${on.url}${path}`);
  await page.getByText("Ready for review").waitFor();
  await shot("list", true);
  await page.getByRole("searchbox", { name: "Search sessions" }).fill("nothing like this");
  await page.getByText("No session fits").waitFor();
  await shot("list-nothing-found");
  await page.getByRole("searchbox", { name: "Search sessions" }).fill("");

  await open("/new");
  await page.getByRole("combobox", { name: "Repository" }).click();
  await page.getByRole("option", { name: /acme\/storefront/ }).waitFor();
  await shot("new-repositories");
  await page.getByRole("option", { name: /acme\/storefront/ }).click();
  await page.getByRole("combobox", { name: "Branch" }).click();
  await page.getByRole("option", { name: "next" }).waitFor();
  await shot("new-branches");
  await page.keyboard.press("Escape");
  await page.getByRole("textbox", { name: "Prompt" }).fill("The cart total is off by one cent when two discounts apply.");
  await page.getByText("Sandbox ready in").waitFor();
  await page
    .getByLabel("Files to attach")
    .setInputFiles([{ name: "cart.png", mimeType: "image/png", buffer: picture(200, 200) }]);
  await page.getByText(/^\d+(\.\d+)? (KB|B)$/).waitFor();
  await shot("new-warm");
  await page.getByRole("textbox", { name: "Prompt" }).fill("");
  await page.getByRole("button", { name: "Remove cart.png" }).click();

  await page.keyboard.press("Control+k");
  await page.getByRole("option", { name: /Upgrade the storefront/ }).waitFor();
  await shot("palette");
  await page.getByRole("combobox", { name: /Search sessions, rep/ }).fill("store");
  await page.getByRole("option", { name: /acme\/storefront New session/ }).waitFor();
  await shot("palette-search");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Account and appearance" }).click();
  await shot("menu");
  await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
  await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor();
  await shot("shortcuts");

  await open("/statistics");
  await page.getByRole("heading", { name: "Warm sandboxes" }).waitFor();
  await shot("statistics", true);
  await page.getByText("As a table").nth(1).click();
  await shot("statistics-table", true);

  await open("/settings");
  await page.getByRole("heading", { name: "Commit address" }).waitFor();
  await shot("settings-account");
  await open("/settings/repositories");
  await page.getByText("acme/storefront").waitFor();
  await shot("settings-repositories");
  await open("/settings/repositories/acme/storefront");
  await page.getByText("NPM_TOKEN").waitFor();
  await page.locator("summary", { hasText: "Building" }).click();
  await page.getByText("Following the log").waitFor();
  await shot("settings-repository", true);
  await page.getByRole("button", { name: "Set a secret" }).click();
  await page.getByRole("form", { name: "Set a secret" }).scrollIntoViewIfNeeded();
  await shot("settings-secret");
  await open("/settings/tokens");
  await page.getByText("Team board").waitFor();
  await page.getByRole("textbox", { name: "Name" }).fill("Release notes");
  await page.getByRole("button", { name: "Create token" }).click();
  await page.getByText("it is shown this once").waitFor();
  await shot("settings-tokens", true);
  await open("/settings/integrations");
  await page.getByText("acme-agents").waitFor();
  await shot("settings-integrations");
  await open("/settings/shortcuts");
  await page.getByText("Send the prompt").waitFor();
  await shot("settings-shortcuts");
  await open("/settings/audit");
  await page.getByText("mallory").waitFor();
  await shot("settings-audit");
  await open("/");
  await page.getByText("Ready for review").waitFor();
  on.peer.failing = 503;
  on.peer.lobby.cutAll();
  await page.getByText("Reconnecting…").waitFor();
  await page.evaluate(() => window.dispatchEvent(new Event("focus")));
  await page.getByRole("button", { name: "Try again" }).waitFor();
  await shot("list-offline");
  on.peer.failing = undefined;
}

function atRest(): boolean {
  const endless = (animation: Animation) => animation.effect?.getComputedTiming().iterations === Infinity;
  return document.getAnimations().every((animation) => endless(animation) || animation.playState === "finished");
}
