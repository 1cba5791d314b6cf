/** With SCREENSHOTS=<folder>: writes a picture of every page, wide and narrow, light and dark. */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { chromium, type Page } from "playwright-core";
import { expect, test } from "vitest";

import { ADA, BO, CHIKA } from "../dev/people.ts";
import { serve } from "../dev/peer.ts";
import { picture } from "../dev/picture.ts";
import { mending } from "../dev/recording.ts";
import { populated } from "../dev/world.ts";
import { INSPECTOR_SCREENS, inspectorScreens } from "./inspector-screens.ts";

const folder = process.env["SCREENSHOTS"] ?? "";
const dist = fileURLToPath(new URL("../dist", import.meta.url));

const VIEWS = [
  { name: "desktop", width: 1440, height: 900, dark: false },
  { name: "desktop-dark", width: 1440, height: 900, dark: true },
  { name: "phone", width: 390, height: 844, dark: false },
  { name: "phone-dark", width: 390, height: 844, dark: true },
];

test.runIf(folder)("every page can be pictured", { timeout: 180_000 }, async () => {
  const written = await takeScreens();
  console.log(written.join("\n"));
  expect(written.length).toBe(4 * 8 + 4 * INSPECTOR_SCREENS);
});

async function takeScreens(): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const browser = await chromium.launch({ executablePath: process.env["CHROMIUM_BIN"] ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  const written: string[] = [];
  for (const view of VIEWS) {
    const peer = populated(Date.now());
    const served = await serve(peer, dist);
    const context = await browser.newContext({
      viewport: { width: view.width, height: view.height },
      deviceScaleFactor: view.width < 500 ? 2 : 1,
      hasTouch: view.width < 500,
      colorScheme: view.dark ? "dark" : "light",
    });
    const page = await context.newPage();
    const shot = async (name: string) => {
      const path = `${folder}/${name}-${view.name}.png`;
      await page.screenshot({ path });
      written.push(path);
    };
    await page.goto(`${served.url}/signin?error=denied`);
    await page.getByRole("button", { name: "Sign in with GitHub" }).waitFor();
    await shot("signin");
    peer.next = ADA;
    await page.goto(`${served.url}/auth/github/login?return_to=/`);
    await page.getByText("Ready for review").waitFor();
    await shot("sessions");
    await page.goto(`${served.url}/new`);
    await page.getByRole("combobox", { name: "Repository" }).click();
    await page.getByRole("option", { name: "acme/storefront" }).waitFor();
    await shot("new");
    await page.goto(`${served.url}/sessions/ses_mended`);
    await page.getByText("23 passed, 0 failed").waitFor();
    await shot("session");
    await unfolded(page);
    await shot("session-unfolded");
    await inspectorScreens(page, peer, shot);
    // In the middle of the work, with others there and prompts waiting.
    const busy = peer.sessions.get("ses_busy");
    if (busy) {
      const chika = { person: CHIKA, send: () => undefined, cut: () => undefined };
      const bo = { person: BO, send: () => undefined, cut: () => undefined };
      busy.connect(bo);
      busy.connect(chika);
      busy.onPrompt = () => undefined;
      busy.now = Date.now() - 21_000;
      const cart = [peer.keep("cart.png", "image/png", picture(360, 200)), peer.keep("prices.csv", "text/csv", Buffer.from("1"))];
      busy.prompt(
        BO,
        "The cart total is off by one cent when two discounts apply to the same line. Fix the rounding and add a test for it.",
        undefined,
        "queue",
        cart,
        "slack",
      );
      const moments = mending(busy);
      for (const moment of moments.slice(0, 235)) {
        busy.tick(moment.ms);
        moment.play();
      }
      const prompt = busy.running;
      const before = { ...peer.keep("rounding.png", "image/png", picture()), caption: "The cart before the change" };
      busy.append({ type: "artifact_added", artifact: before, prompt });
      busy.append({ type: "artifact_added", artifact: peer.keep("report.pdf", "application/pdf", picture()), prompt });
      busy.prompt(CHIKA, "Also check whether the invoice PDF has the same problem");
      busy.prompt(ADA, "Then bump the patch version");
      await page.goto(`${served.url}/sessions/ses_busy`);
      await page.getByRole("log").waitFor();
      busy.handle(bo, { type: "subscribe", since: 0 });
      busy.handle(chika, { type: "subscribe", since: 0 });
      busy.handle(bo, { type: "presence", active: false });
      busy.handle(chika, { type: "typing" });
      await page.getByText("Chika Obi is typing").waitFor();
      await page.getByLabel("Files to attach").setInputFiles([
        { name: "invoice.png", mimeType: "image/png", buffer: picture(200, 200) },
        { name: "discounts.txt", mimeType: "text/plain", buffer: Buffer.from("2 for 1") },
        { name: "empty.txt", mimeType: "text/plain", buffer: Buffer.alloc(0) },
      ]);
      await page.getByText("The file is empty.").waitFor();
      await shot("session-working");
      busy.stop(CHIKA);
      await page.getByText("The queue is paused").waitFor();
      await shot("session-paused");
      peer.failing = 503;
      busy.cutAll();
      await page.getByText("Reconnecting…").waitFor();
      await page.waitForFunction(atRest);
      await shot("session-reconnecting");
    }
    await context.close();
    await served.close();
  }
  await browser.close();
  return written;
}

async function unfolded(page: Page): Promise<void> {
  await page.getByRole("button", { name: /Worked for/ }).click();
  await page.getByText("cargo test", { exact: true }).first().click();
  await page.getByLabel("Output").first().waitFor();
  await page.getByText("src/version.rs").nth(1).click();
  await page.locator(".timeline").evaluate((element) => element.scrollTo(0, 0));
}

function atRest(): boolean {
  const endless = (animation: Animation) => animation.effect?.getComputedTiming().iterations === Infinity;
  return document.getAnimations().every((animation) => endless(animation) || animation.playState === "finished");
}
