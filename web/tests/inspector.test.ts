/** The panels beside the timeline: changes, pull requests, the terminal, time, details. */
import type { Page } from "playwright-core";
import { afterEach, beforeEach, expect, test } from "vitest";

import { inspected } from "../dev/inspected.ts";
import { ADA, BO } from "../dev/people.ts";
import type { PlayedSession } from "../dev/played-session.ts";
import { mending, playNow } from "../dev/recording.ts";
import { partsOf } from "../dev/session-parts.ts";
import { axe } from "./axe.ts";
import { addSession, onSession, stage, useBrowser } from "./harness.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;
let session: PlayedSession;

beforeEach(async () => {
  on = await stage();
  session = addSession(on.peer);
});
afterEach(() => on.close());

const DESKTOP = { viewport: { width: 1440, height: 900 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, colorScheme: "dark" } as const;

function mended(): void {
  session.prompt(ADA, "Fix it");
  playNow(session, mending(session));
  inspected(on.peer, session);
}

async function openTab(page: Page, name: string): Promise<void> {
  await page.getByRole("tab", { name: new RegExp(`^${name}`) }).click();
}

test("the changes of a session are shown by file, whatever kind of file it is", async () => {
  mended();
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Changes");
  const panel = page.getByRole("tabpanel", { name: /Changes/ });
  await panel.getByText("6 files").waitFor();
  const files = panel.getByRole("navigation", { name: "Changed files" });
  expect(await files.getByRole("button").allInnerTexts()).toHaveLength(6);
  await panel.getByText(".then_with(|| precedence(&self.pre, &other.pre))").waitFor();
  await panel.getByText("docs/notes.md →").waitFor();
  await panel.getByText("Only its name has changed.").waitFor();
  await files.getByRole("button", { name: /precedence\.bin/ }).click();
  await panel.getByText("A binary file").waitFor();
  await files.getByRole("button", { name: /versions\.json/ }).click();
  await panel.getByText("Too much has changed to be shown here.").waitFor();
});

test("changes can be read side by side, and of one prompt", async () => {
  mended();
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Changes");
  await page.getByRole("button", { name: "Split" }).click();
  const row = page.locator(".split tr", { hasText: ".cmp(&(other.major, other.minor, other.patch))" }).first();
  expect(await row.locator("td.code").count()).toBe(2);
  await page.getByLabel("Which changes").selectOption({ label: "Fix it" });
  await page.getByText("1 file", { exact: true }).waitFor();
  await page.reload();
  await openTab(page, "Changes");
  await page.locator(".split").first().waitFor();
});

test("a comment on a line becomes a prompt with its path, line and text", async () => {
  mended();
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Changes");
  const number = page.getByRole("button", { name: "Comment on line 43, added", exact: true });
  await number.focus();
  await page.keyboard.press("Enter");
  const field = page.getByRole("textbox", { name: "Comment on line 43" });
  await field.fill("Say why this comes last.");
  await page.getByRole("button", { name: "Send as prompt" }).click();
  await field.waitFor({ state: "detached" });
  await page.locator(".prompt-text", { hasText: "Say why this comes last." }).waitFor();
  const sent = session.received.at(-1)?.text ?? "";
  expect(sent).toContain("About `src/version.rs`, line 43:");
  expect(sent).toContain("```\n        (self.major, self.minor, self.patch)\n```");
});

test("newer changes come by themselves, and wait while a comment is being written", async () => {
  mended();
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Changes");
  await page.getByRole("button", { name: "Comment on line 43, added", exact: true }).click();
  await page.getByRole("textbox", { name: "Comment on line 43" }).fill("Half a though");
  const parts = partsOf(session);
  parts.changes = (prompt, scope) => ({ prompt: prompt ?? "pmt_2", scope, files: [], omitted: 0 });
  session.append({ type: "changes_kept", prompt: "pmt_2", files: 0, additions: 0, deletions: 0 });
  await page.getByRole("button", { name: "Newer changes" }).waitFor();
  expect(await page.getByRole("textbox", { name: "Comment on line 43" }).inputValue()).toBe("Half a though");
  await page.getByRole("button", { name: "Newer changes" }).click();
  await page.getByText("Nothing was changed").waitFor();
});

test("a large file is laid out as far as it is looked at", async () => {
  const hunks = `@@ -0,0 +1,4000 @@\n${Array.from({ length: 4_000 }, (_, index) => `+line ${index + 1}`).join("\n")}\n`;
  partsOf(session).changes = (_, scope) => ({
    prompt: "pmt_1",
    scope,
    omitted: 12,
    files: [{ path: "big.txt", change: "added", additions: 4_000, deletions: 0, patch: { kind: "text", hunks } }],
  });
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Changes");
  await page.getByText("12 more files are not listed.").waitFor();
  // Long files are opened by whoever wants to read them.
  expect(await page.locator(".lines tr").count()).toBe(0);
  await page.locator(".file-diff > summary").click();
  await page.getByText("line 1", { exact: true }).waitFor();
  expect(await page.locator(".lines tr").count()).toBeLessThan(1_000);
  await page.locator(".panel-scroll").evaluate((element) => element.scrollTo(0, element.scrollHeight));
  await page.getByText("line 4000", { exact: true }).waitFor();
});

test("a session without changes, and a server that fails, say so", async () => {
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Changes");
  await page.getByText("No changes yet").waitFor();
  await openTab(page, "Details");
  on.peer.failing = 503;
  await openTab(page, "Waterfall");
  await page.getByRole("tabpanel").getByText("The service is being restarted.").waitFor();
  on.peer.failing = undefined;
  await page.getByRole("tabpanel").getByRole("button", { name: "Try again" }).click();
  await page.getByText("have talked to nobody yet").waitFor();
});

test("pull requests say how they stand, live, and are opened and made ready from here", async () => {
  mended();
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Pull requests");
  const panel = page.getByRole("tabpanel", { name: /Pull requests/ });
  await panel.getByText("Compare pre-releases by SemVer's precedence").waitFor();
  session.append({ type: "checks_finished", number: 12, commit: "abcdef1", failed: ["lint"] });
  await panel.getByText("Checks failed: lint").waitFor();
  session.append({ type: "checks_finished", number: 12, commit: "abcdef2", failed: [] });
  await panel.getByText("All checks passed").waitFor();
  session.append({ type: "pull_request_reviewed", number: 12, verdict: "approved", by: "bo" });
  await panel.getByText("Approved").waitFor();

  await panel.getByText("Open another").click();
  await panel.getByLabel("Title").fill("A second one");
  await panel.getByLabel("As a draft").check();
  await panel.getByRole("button", { name: "Open as Ada Lindqvist" }).click();
  const second = panel.getByRole("listitem").filter({ hasText: "A second one" }).first();
  await second.getByText("Draft", { exact: true }).waitFor();
  await second.getByRole("button", { name: "Ready for review" }).click();
  await second.getByText("Open", { exact: true }).waitFor();
  expect(await panel.locator(".pull-card").count()).toBe(2);

  // What was told of the first is still known by whoever comes later.
  await page.reload();
  await openTab(page, "Pull requests");
  await panel.getByText("Approved").waitFor();
});

test("pictures from before and after lie over each other", async () => {
  mended();
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Pull requests");
  const slider = page.getByRole("slider");
  await slider.focus();
  await page.keyboard.press("Home");
  const clip = () => page.locator(".compare-before").evaluate((element) => getComputedStyle(element).clipPath);
  expect(await clip()).toContain("100%");
  await page.keyboard.press("End");
  expect(await clip()).not.toContain("100%");
});

test("everybody sees the terminal, one types, and control is taken and given back", async () => {
  const terminal = on.peer.terminal("ses_1");
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Terminal");
  const other = await onSession(on, { ...DESKTOP, as: BO });
  await openTab(other, "Terminal");
  const screen = (of: Page) => of.locator(".xterm-rows");
  await screen(page).getByText("~/workspace").waitFor();
  await screen(other).getByText("~/workspace").waitFor();
  await page.getByText("Read-only: nobody is in control").waitFor();

  await page.locator(".xterm-screen").click();
  await page.keyboard.type("no");
  await page.getByRole("button", { name: "Take control" }).click();
  await page.getByText("You are in control").waitFor();
  await page.keyboard.type("echo hello");
  await page.keyboard.press("Enter");
  await screen(other).getByText("hello", { exact: true }).waitFor();
  expect(terminal.typed).toBe("echo hello\r");
  await other.getByText("Ada Lindqvist is in control").waitFor();

  await other.getByRole("button", { name: "Take control" }).click();
  await page.getByText("Bo Andersen is in control").waitFor();
  await page.keyboard.type("lost");
  await other.keyboard.press("Shift+Escape");
  await other.keyboard.press("Enter");
  await page.getByText("Read-only: nobody is in control").waitFor();
  expect(terminal.typed).toBe("echo hello\r");
});

test("a terminal comes back after a lost connection, with what was printed meanwhile", async () => {
  const terminal = on.peer.terminal("ses_1");
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Terminal");
  await page.locator(".xterm-rows").getByText("~/workspace").waitFor();
  terminal.cutAll();
  terminal.print("printed meanwhile\r\n");
  await page.locator(".xterm-rows").getByText("printed meanwhile").waitFor();
  expect(await page.locator(".xterm-rows").innerText()).toMatch(/^agent:~\/workspace\$ printed meanwhile/);
  terminal.end(0);
  await page.getByText("Its exit code was 0.").waitFor();
});

test("a sandbox that sleeps is left alone, and looked into when it is up", async () => {
  partsOf(session).terminalRefusal = { status: 409, code: "no_sandbox", message: "This session has no sandbox now." };
  const page = await onSession(on, DESKTOP);
  await openTab(page, "Terminal");
  await page.getByText("The sandbox is asleep").waitFor();
  partsOf(session).terminalRefusal = undefined;
  session.append({ type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 });
  session.append({ type: "sandbox_ready", sandbox: "sbx_1", epoch: 1, image: null, commit: "abc1234" });
  await page.locator(".xterm-rows").getByText("~/workspace").waitFor();
});

test("tabs are reached and changed by keyboard", async () => {
  mended();
  const page = await onSession(on, DESKTOP);
  await page.getByRole("tab", { name: "Details" }).focus();
  await page.keyboard.press("ArrowLeft");
  await page.getByText("Where the time went").waitFor();
  expect(await page.getByRole("tab", { name: "Waterfall" }).evaluate((tab) => tab === document.activeElement)).toBe(true);
  await page.getByText("telemetry.example.com").waitFor();
  await page.keyboard.press("Home");
  await page.getByText("6 files").waitFor();
});

for (const [name, options] of Object.entries({ "on a desktop": DESKTOP, "on a phone in the dark": PHONE })) {
  test(`axe finds nothing serious in any panel ${name}, and none is wider than the screen`, async () => {
    mended();
    const page = await onSession(on, options);
    if (options === PHONE) await page.getByRole("button", { name: "Inspector" }).click();
    for (const [tab, words] of [
      ["Changes", "6 files"],
      ["Pull requests", "Open on GitHub"],
      ["Terminal", "Read-only: nobody is in control"],
      ["Waterfall", "telemetry.example.com"],
      ["Details", "1 prompt"],
    ] as const) {
      await openTab(page, tab);
      await page.getByRole("tabpanel").getByText(words).first().waitFor();
      expect(await axe(page), tab).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), tab).toBe(0);
    }
    if (options !== PHONE) return;
    await page.keyboard.press("Escape");
    await page.getByRole("tabpanel").first().waitFor({ state: "hidden" });
    expect(await page.getByRole("button", { name: "Inspector" }).evaluate((button) => button === document.activeElement)).toBe(true);
  });
}
