/** Changes as they are while a prompt runs. */
import type { Page } from "playwright-core";
import { afterEach, beforeEach, expect, test } from "vitest";

import { ADA } from "../dev/people.ts";
import type { PlayedSession } from "../dev/played-session.ts";
import { partsOf } from "../dev/session-parts.ts";
import type { ChangedFile, Changes, ChangesScope } from "../ui/src/protocol.ts";
import { addSession, onSession, stage, useBrowser } from "./harness.ts";
import { inspect } from "./inspection.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;
let session: PlayedSession;

beforeEach(async () => {
  on = await stage();
  session = addSession(on.peer);
  session.onPrompt = () => undefined;
});
afterEach(() => on.close());

const DESKTOP = { viewport: { width: 1440, height: 900 } };

const NOW = "As of now: the turn is still running.";

function added(path: string, lines: number): ChangedFile {
  const hunks = `@@ -0,0 +1,${lines} @@\n${Array.from({ length: lines }, (_, index) => `+${path} ${index + 1}`).join("\n")}\n`;
  return { path, change: "added", additions: lines, deletions: 0, patch: { kind: "text", hunks } };
}

function now(...files: ChangedFile[]): void {
  partsOf(session).changesNow = (scope) => ({ prompt: session.running, scope, files, omitted: 0 });
}

function kept(prompt: string, ...files: ChangedFile[]): void {
  partsOf(session).changes = (_, scope: ChangesScope): Changes => ({ prompt, scope, files, omitted: 0 });
}

function call(tool: string): void {
  session.endPart(session.part({ kind: "tool", tool, title: tool, input: "{}" }));
}

async function changesOf(page: Page) {
  await page.getByRole("tab", { name: /^Changes/ }).click();
  return page.getByRole("tabpanel", { name: /Changes/ });
}

test("what the agent changes is shown while it works, and what was kept at the end", async () => {
  now();
  const page = await onSession(on, DESKTOP);
  session.prompt(ADA, "Fix it");
  const panel = await changesOf(page);
  await panel.getByText("Nothing has been changed so far").waitFor();
  await panel.getByText(NOW).waitFor();
  now(added("a.txt", 1));
  call("edit");
  await panel.getByText("1 file", { exact: true }).waitFor();
  await inspect(page);
  now(added("a.txt", 1), added("b.txt", 2));
  call("bash");
  await panel.getByText("2 files", { exact: true }).waitFor();
  await panel.getByLabel("Which changes").selectOption({ label: "Running: Fix it" });
  await panel.getByText(NOW).waitFor();

  session.endPrompt();
  await panel.getByText("The turn has ended.").waitFor();
  kept("pmt_1", added("a.txt", 1), added("b.txt", 2), added("c.txt", 3));
  session.append({ type: "changes_kept", prompt: "pmt_1", files: 3, additions: 6, deletions: 0 });
  await panel.getByText("3 files", { exact: true }).waitFor();
  expect(await panel.getByRole("status").innerText()).toBe("");
  expect(await panel.getByLabel("Which changes").inputValue()).toBe("pmt_1");
});

test("the count of changed files is the newest that is known", async () => {
  kept("pmt_1", added("a.txt", 1));
  const page = await onSession(on, DESKTOP);
  const tab = page.getByRole("tab", { name: /^Changes/ });
  const count = (files: number) => page.getByRole("tab", { name: `Changes ${files}`, exact: true }).waitFor();
  session.prompt(ADA, "Fix it");
  session.append({ type: "changes_kept", prompt: "pmt_1", files: 1, additions: 1, deletions: 0 });
  session.endPrompt();
  await count(1);
  now(added("a.txt", 1), added("b.txt", 2));
  session.prompt(ADA, "Go on");
  const panel = await changesOf(page);
  await panel.getByText("2 files", { exact: true }).waitFor();
  await count(2);
  // Elsewhere, and of one prompt alone, nothing newer is known of all.
  now(added("a.txt", 1), added("b.txt", 2), added("c.txt", 3));
  await panel.getByLabel("Which changes").selectOption({ label: "Running: Go on" });
  await panel.getByText("3 files", { exact: true }).waitFor();
  await page.getByRole("tab", { name: "Details" }).click();
  expect(await tab.innerText()).toMatch(/2$/);

  session.append({ type: "changes_kept", prompt: "pmt_2", files: 4, additions: 9, deletions: 0 });
  await count(4);
});

test("files stay closed, read and where they are when newer changes come", async () => {
  now(added("a.txt", 40), added("m.txt", 40), added("z.txt", 40));
  session.prompt(ADA, "Fix it");
  const page = await onSession(on, DESKTOP);
  const panel = await changesOf(page);
  const file = (path: string) => panel.locator(".file-diff", { has: page.locator("summary", { hasText: path }) });
  await file("a.txt").locator("> summary").click();
  await panel.getByRole("navigation", { name: "Changed files" }).getByRole("button", { name: /z\.txt/ }).click();
  const line = file("z.txt").getByText("z.txt 30", { exact: true });
  await line.waitFor();
  // Going there has ended.
  await expect.poll(() => file("z.txt").locator("> summary").evaluate((summary) => summary === document.activeElement)).toBe(true);
  await panel.locator(".panel-scroll").evaluate((scroller) => scroller.scrollBy(0, 100));
  const place = async () => Math.round((await line.boundingBox())?.y ?? 0);
  const before = await place();

  now(added("a.txt", 60), added("b.txt", 25), added("m.txt", 40), added("z.txt", 45));
  call("write");
  await panel.getByText("4 files", { exact: true }).waitFor();
  await file("z.txt").getByText("z.txt 45", { exact: true }).waitFor();
  expect(Math.abs((await place()) - before)).toBeLessThanOrEqual(2);
  expect(await file("z.txt").locator("> summary").evaluate((summary) => summary === document.activeElement)).toBe(true);
  // Far from what is looked at, it is laid out when it comes near.
  await panel.locator(".panel-scroll").evaluate((scroller) => scroller.scrollTo(0, 0));
  expect(await file("a.txt").evaluate((details: HTMLDetailsElement) => details.open)).toBe(false);
});

test("nobody is asked while the changes are not looked at, nor for what only reads", async () => {
  now(added("a.txt", 1));
  session.prompt(ADA, "Fix it");
  const page = await onSession(on, DESKTOP);
  const parts = partsOf(session);
  call("edit");
  await page.locator(".tool").waitFor();
  await page.locator(".tool .spinner").waitFor({ state: "detached" });
  const panel = await changesOf(page);
  await panel.getByText("1 file", { exact: true }).waitFor();
  const looks = parts.looks;
  await page.getByRole("tab", { name: "Details" }).click();
  call("edit");
  call("bash");
  call("read");
  session.append({ type: "update", prompt: session.running, text: "Everything is written." });
  await page.getByText("Everything is written.").waitFor();
  expect(parts.looks).toBe(looks);
  // Once for all that was written meanwhile.
  now(added("a.txt", 1), added("b.txt", 1));
  await page.getByRole("tab", { name: /^Changes/ }).click();
  await panel.getByText("2 files", { exact: true }).waitFor();
  expect(parts.looks).toBe(looks + 1);
});

test("without a sandbox that can tell, the last ones that were kept stay", async () => {
  kept("pmt_1", added("a.txt", 1));
  const page = await onSession(on, DESKTOP);
  session.prompt(ADA, "Fix it");
  session.endPrompt();
  const panel = await changesOf(page);
  await panel.getByText("1 file", { exact: true }).waitFor();
  session.prompt(ADA, "Go on");
  call("edit");
  await expect.poll(() => partsOf(session).looks).toBe(1);
  await panel.getByText("1 file", { exact: true }).waitFor();
  expect(await panel.getByRole("status").innerText()).toBe("");
  // Nobody knows of this one prompt yet.
  partsOf(session).changes = undefined;
  await panel.getByLabel("Which changes").selectOption({ label: "Running: Go on" });
  await panel.getByText("No changes yet").waitFor();
});

test("a comment that is written on a running turn is not taken away", async () => {
  now(added("a.txt", 3));
  session.prompt(ADA, "Fix it");
  const page = await onSession(on, DESKTOP);
  const panel = await changesOf(page);
  await panel.getByRole("button", { name: "Comment on line 2, added" }).click();
  await panel.getByRole("textbox", { name: "Comment on line 2" }).fill("Half a though");
  now(added("a.txt", 5));
  call("edit");
  await panel.getByRole("button", { name: "Newer changes" }).click();
  await panel.getByText("a.txt 5", { exact: true }).waitFor();
  expect(await panel.getByRole("textbox").count()).toBe(0);
});

test("newer changes are told of until they are shown, and only if they differ", async () => {
  now(added("a.txt", 3));
  session.prompt(ADA, "Fix it");
  const page = await onSession(on, DESKTOP);
  const panel = await changesOf(page);
  await panel.getByRole("button", { name: "Comment on line 2, added" }).click();
  const comment = panel.getByRole("textbox", { name: "Comment on line 2" });
  await comment.fill("Half a though");
  const parts = partsOf(session);
  const newer = panel.getByRole("button", { name: "Newer changes" });
  const looked = async (act: () => unknown) => {
    const { looks } = parts;
    await act();
    await expect.poll(() => parts.looks, { timeout: 10_000 }).toBeGreaterThan(looks);
    await expect.poll(() => panel.locator(".panel-scroll").getAttribute("aria-busy")).toBe("false");
  };
  await looked(() => call("bash"));
  expect(await newer.count()).toBe(0);
  now(added("a.txt", 5));
  await looked(() => call("edit"));
  await newer.waitFor();
  parts.changesNow = undefined;
  await looked(() => newer.click());
  await newer.waitFor();
  expect(await comment.inputValue()).toBe("Half a though");
  now(added("a.txt", 5));
  await looked(() => newer.click());
  await panel.getByText("a.txt 5", { exact: true }).waitFor();
  await newer.waitFor({ state: "detached" });
});
