/** Pictures of the panels beside the timeline, for `screenshots.test.ts`. */
import type { Page } from "playwright-core";

import { BO } from "../dev/people.ts";
import type { Peer } from "../dev/peer.ts";
import { partsOf } from "../dev/session-parts.ts";

/** How many each view gets. */
export const INSPECTOR_SCREENS = 11;

/** `page` shows a mended session. */
export async function inspectorScreens(page: Page, peer: Peer, shot: (name: string) => Promise<void>): Promise<void> {
  const tab = (name: string) => page.getByRole("tab", { name: new RegExp(`^${name}`) });
  if (!(await tab("Changes").isVisible())) await page.getByRole("button", { name: "Inspector" }).click();
  await tab("Details").click();
  await page.getByText("1 prompt").waitFor();
  await shot("session-details");
  await tab("Waterfall").click();
  await page.getByText("telemetry.example.com").waitFor();
  await shot("session-waterfall");
  await tab("Pull requests").click();
  await page.getByRole("slider").waitFor();
  await shot("session-pulls");
  await tab("Changes").click();
  await page.getByText("6 files").waitFor();
  await shot("session-changes");
  await page.getByRole("navigation", { name: "Changed files" }).getByRole("button", { name: /version\.rs/ }).click();
  await page.getByRole("button", { name: "Comment on line 43, added", exact: true }).click();
  await page.getByRole("textbox", { name: "Comment on line 43" }).fill("Say why this comes last.");
  await shot("session-comment");
  await page.getByRole("button", { name: "Cancel" }).first().click();
  await page.getByRole("button", { name: "Split" }).click();
  await shot("session-split");
  await page.getByRole("button", { name: "Unified" }).click();

  const session = peer.sessions.get("ses_mended");
  if (!session) return;
  await tab("Terminal").click();
  await page.locator(".xterm-rows").getByText("~/workspace").first().waitFor();
  const bo = { person: BO, send: () => undefined, cut: () => undefined };
  session.connect(bo);
  peer.terminal(session.summary.id).print("cargo test\r\n   \u001b[1;32mCompiling\u001b[0m semver-lite v0.4.2\r\ntest result: \u001b[32mok\u001b[0m. 23 passed; \u001b[31m0 failed\u001b[0m\r\n$ ");
  await page.getByRole("button", { name: "Take control" }).click();
  await page.getByText("You are in control").waitFor();
  await page.keyboard.type("ls");
  await page.keyboard.press("Enter");
  await page.locator(".xterm-rows").getByText("Cargo.toml").waitFor();
  await shot("session-terminal");
  peer.terminal(session.summary.id).end(0);
  await page.getByText("The shell has ended").waitFor();
  await shot("session-terminal-ended");
  partsOf(session).terminalRefusal = { status: 409, code: "no_sandbox", message: "This session has no sandbox now: one starts with the next prompt." };
  await page.getByRole("button", { name: "Start another" }).click();
  await page.getByText("The sandbox is asleep").waitFor();
  await shot("session-terminal-asleep");
  session.disconnect(bo);
  peer.failing = 503;
  await tab("Waterfall").click();
  await page.getByRole("tabpanel").getByRole("button", { name: "Try again" }).waitFor();
  await shot("session-panel-failed");
  peer.failing = undefined;
  const url = new URL(page.url());
  await page.goto(`${url.origin}/sessions/ses_long`);
  await page.getByText(/^Answer \d+$/).last().waitFor();
  await page.locator(".timeline").evaluate((element) => element.scrollBy(0, -900));
  await shot("session-long");
}
