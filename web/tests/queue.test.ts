/** What waits and what happens around it, in a real browser: order, insertion, pauses, forks, news. */
import { afterEach, beforeEach, expect, test } from "vitest";

import type { Page } from "playwright-core";

import { ADA, BO } from "../dev/people.ts";
import type { PlayedSession } from "../dev/played-session.ts";
import { picture as pictured } from "../dev/picture.ts";
import { answering, playNow } from "../dev/recording.ts";
import type { Source } from "../ui/src/protocol.ts";
import { addSession, onSession, stage, useBrowser } from "./harness.ts";
import { inspect } from "./inspection.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;
let session: PlayedSession;

beforeEach(async () => {
  on = await stage();
  session = addSession(on.peer);
  session.onStop = (by) => session.stop(by);
});
afterEach(() => on.close());

const rows = (page: Page) => page.getByRole("region", { name: "Queue" }).getByRole("listitem");
const row = (page: Page, text: string) => rows(page).filter({ hasText: text });
/** Without the author, who is read out only. */
const texts = async (page: Page) =>
  (await rows(page).locator(".queued-text").allInnerTexts()).map((text) => text.split(/:\s*/).at(-1));

async function withThree(page: Page): Promise<void> {
  session.prompt(ADA, "Running");
  for (const text of ["One", "Two", "Three"]) session.prompt(BO, text);
  await row(page, "Three").waitFor();
}

test("waiting prompts are moved by buttons and by keys, and the focus goes with them", async () => {
  const page = await onSession(on);
  await withThree(page);
  await row(page, "Three").getByRole("button", { name: "Move up" }).click();
  await expect.poll(() => texts(page)).toEqual(["One", "Three", "Two"]);
  await expect
    .poll(() => row(page, "Three").getByRole("button", { name: "Move up" }).evaluate((button) => button === document.activeElement))
    .toBe(true);
  await page.keyboard.press("Enter");
  await expect.poll(() => texts(page)).toEqual(["Three", "One", "Two"]);
  await page.keyboard.press("Alt+ArrowDown");
  await expect.poll(() => texts(page)).toEqual(["One", "Three", "Two"]);
  expect(await row(page, "One").getByRole("button", { name: "Move up" }).isDisabled()).toBe(true);
  expect(await row(page, "Two").getByRole("button", { name: "Move down" }).isDisabled()).toBe(true);
});

test("a waiting prompt is dragged to its place, and Esc puts it back", async () => {
  const page = await onSession(on);
  await withThree(page);
  const grip = async (text: string) => {
    const box = await row(page, text).locator(".queued-grip").boundingBox();
    return { x: (box?.x ?? 0) + (box?.width ?? 0) / 2, y: (box?.y ?? 0) + (box?.height ?? 0) / 2 };
  };
  const from = await grip("Three");
  const to = await grip("One");
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(to.x, to.y + 4);
  await page.mouse.move(to.x, to.y);
  await page.keyboard.press("Escape");
  await page.mouse.up();
  expect(await texts(page)).toEqual(["One", "Two", "Three"]);
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move(to.x, to.y + 4);
  expect((await row(page, "One").boundingBox())?.y).toBeGreaterThan(0);
  await page.mouse.move(to.x, to.y);
  await page.mouse.up();
  await expect.poll(() => texts(page)).toEqual(["Three", "One", "Two"]);
  const order = session.log.findLast((event) => event.type === "prompts_reordered");
  expect(order?.type === "prompts_reordered" && order.order.length).toBe(3);
  expect(await page.getByText("Esc again to stop").count()).toBe(0);
});

test("a finger drags a waiting prompt, too", async () => {
  const page = await onSession(on, { viewport: { width: 390, height: 844 }, hasTouch: true });
  await withThree(page);
  const middle = async (text: string) => {
    const box = await row(page, text).locator(".queued-grip").boundingBox();
    expect(box?.height).toBeGreaterThanOrEqual(44);
    return { x: (box?.x ?? 0) + 22, y: (box?.y ?? 0) + 22 };
  };
  const from = await middle("One");
  const to = await middle("Two");
  const finger = await page.context().newCDPSession(page);
  const touch = (type: "touchStart" | "touchMove" | "touchEnd", points: readonly { x: number; y: number }[]) =>
    finger.send("Input.dispatchTouchEvent", { type, touchPoints: [...points] });
  await touch("touchStart", [from]);
  await touch("touchMove", [{ x: from.x, y: (from.y + to.y) / 2 }]);
  await touch("touchMove", [to]);
  await touch("touchEnd", []);
  await expect.poll(() => texts(page)).toEqual(["Two", "One", "Three"]);
});

test("a long queue says how long it is and folds away, as it is at first on a phone", async () => {
  const page = await onSession(on, { viewport: { width: 390, height: 844 }, hasTouch: true });
  session.prompt(ADA, "Running");
  for (let number = 1; number <= 20; number += 1) session.prompt(BO, `Waiting ${number}`);
  const head = page.getByRole("button", { name: "20 prompts wait, no more fit" });
  await head.waitFor();
  expect(await rows(page).count()).toBe(0);
  await inspect(page);
  await head.click();
  await row(page, "Waiting 20").waitFor();
  await row(page, "Waiting 20").getByRole("button", { name: "Remove from the queue" }).click();
  await page.getByRole("button", { name: "19 prompts wait", exact: true }).waitFor();
  await onSession(on).then((desktop) => row(desktop, "Waiting 19").waitFor());
});

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true };

test("a prompt that was refused shows although the queue is folded away", async () => {
  const page = await onSession(on, PHONE);
  session.prompt(ADA, "Running");
  for (let number = 1; number <= 20; number += 1) session.prompt(BO, `Waiting ${number}`);
  const head = page.getByRole("button", { name: "20 prompts wait, no more fit" });
  await head.waitFor();
  expect(await rows(page).count()).toBe(0);
  session.prompt = () => {
    const id = session.received.at(-1)?.client_request_id ?? "";
    session.say({ type: "error", code: "queue_full", message: "20 prompts wait already.", client_request_id: id });
    return "";
  };
  await page.getByRole("textbox", { name: "Prompt" }).fill("One more");
  await page.getByRole("button", { name: "Queue", exact: true }).click();
  await row(page, "20 prompts wait already.").waitFor();
  expect(await head.getAttribute("aria-expanded")).toBe("true");
  await page.getByRole("button", { name: "Discard" }).click();
  await expect.poll(() => rows(page).count()).toBe(0);
  expect(await head.getAttribute("aria-expanded")).toBe("false");
});

test("a queue that becomes long does not fold away what is edited in it", async () => {
  const page = await onSession(on, PHONE);
  session.prompt(ADA, "Running");
  for (let number = 1; number <= 4; number += 1) session.prompt(BO, `Waiting ${number}`);
  await row(page, "Waiting 2").getByRole("button", { name: "Edit" }).click();
  const field = page.getByRole("textbox", { name: "Waiting prompt" });
  await field.fill("Half a thought");
  session.prompt(BO, "Waiting 5");
  await page.getByRole("button", { name: "5 prompts wait" }).waitFor();
  expect(await field.inputValue()).toBe("Half a thought");
  expect(await field.evaluate((element) => element === document.activeElement)).toBe(true);
});

test("a waiting prompt can be given to the running agent", async () => {
  const page = await onSession(on);
  await withThree(page);
  await row(page, "Two").getByRole("button", { name: "Insert now" }).click();
  await page.locator(".prompt-text", { hasText: "Two" }).waitFor();
  await row(page, "Two").waitFor({ state: "detached" });
});

test("after a stop the queue waits until somebody resumes it", async () => {
  const page = await onSession(on);
  await withThree(page);
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("The queue is paused: Ada Lindqvist stopped the agent. 3 prompts wait.").waitFor();
  await page.getByText("Stopped by Ada Lindqvist.").waitFor();
  expect(session.busy).toBe(false);
  await page.getByRole("button", { name: "Resume" }).click();
  await page.locator(".prompt-text", { hasText: "One" }).waitFor();
  await page.getByText("Ada Lindqvist resumed the queue.").waitFor();
  expect(await page.getByText("The queue is paused").count()).toBe(0);
});

test("a pause does not move the page away from its end", async () => {
  session.prompt(ADA, "Write a lot");
  const picture = on.peer.keep("wide.png", "image/png", pictured());
  const page = await onSession(on);
  const part = session.part({ kind: "text" });
  session.grow(part, Array.from({ length: 40 }, (_, index) => `Paragraph ${index + 1}.`).join("\n\n"));
  session.append({ type: "artifact_added", artifact: picture, prompt: session.running });
  session.prompt(BO, "Then this");
  await page.getByRole("img", { name: "wide.png" }).waitFor();
  const atEnd = () => {
    const element = document.querySelector(".timeline");
    return element !== null && element.scrollHeight - element.clientHeight - element.scrollTop < 2;
  };
  await page.waitForFunction(atEnd);
  session.stop(ADA);
  await page.getByText("The queue is paused").waitFor();
  await page.waitForFunction(atEnd);
  expect(await page.getByRole("button", { name: "New activity" }).count()).toBe(0);
});

test("after a stop the queue can be cleared", async () => {
  const page = await onSession(on);
  await withThree(page);
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: "Clear" }).click();
  await rows(page).first().waitFor({ state: "detached" });
  await page.getByText("The queue is paused").waitFor({ state: "detached" });
});

test("a fork of a finished turn opens, and says what it came from", async () => {
  session.prompt(ADA, "Try it");
  playNow(session, answering(session, "Done."));
  const page = await onSession(on);
  await page.getByRole("button", { name: "Fork from here" }).click();
  await page.waitForURL(/\/sessions\/ses_(?!1$)/);
  const link = page.getByRole("link", { name: "another session" });
  await link.waitFor();
  await link.click();
  await page.waitForURL(/\/sessions\/ses_1$/);
});

test("what GitHub and the sandboxes tell is told in words", async () => {
  session.prompt(ADA, "Fix it");
  session.append({ type: "prompt_resumed", prompt: session.running, epoch: 2 });
  session.append({ type: "limit_reached", limit: "memory", message: "A program wanted too much memory." });
  playNow(session, answering(session, "Done."));
  session.append({
    type: "pull_request_opened",
    prompt: "pmt_1",
    number: 7,
    url: "https://github.com/acme/shop/pull/7",
    title: "Fix it",
    by: { kind: "app" },
  });
  session.append(
    { type: "checks_finished", number: 7, commit: "3f2a91c0b1", failed: ["test", "lint"] },
    { type: "checks_finished", number: 7, commit: "9c41f0e2b7", failed: [] },
    { type: "pull_request_reviewed", number: 7, verdict: "changes_requested", by: "carol" },
    { type: "pull_request_reviewed", number: 7, verdict: "approved", by: "carol" },
    { type: "pull_request_changed", number: 7, state: "merged", by: "bo" },
  );
  const page = await onSession(on);
  for (const words of [
    "It went on in a new sandbox.",
    "A program wanted too much memory.",
    "2 checks of pull request #7 failed at 3f2a91c: test, lint.",
    "All checks of pull request #7 passed at 9c41f0e.",
    "carol requested changes on pull request #7.",
    "carol approved pull request #7.",
    "bo merged pull request #7.",
  ]) {
    await page.locator(".row", { hasText: words }).waitFor();
  }
  await page.getByRole("tab", { name: /Pull requests/ }).click();
  await page.getByRole("tabpanel", { name: /Pull requests/ }).getByText("Merged", { exact: true }).waitFor();
});

test("every prompt says where it came from", async () => {
  const sources: Source[] = ["web", "api", "github", "slack", "extension", "editor"];
  for (const source of sources) {
    session.prompt(ADA, `From ${source}`, undefined, "queue", [], source);
    playNow(session, answering(session, "Done."));
  }
  const page = await onSession(on);
  await page.locator(".turn").nth(5).waitFor();
  expect((await page.locator(".source").allInnerTexts()).map((text) => text.trim())).toEqual([
    "Web",
    "API",
    "GitHub",
    "Slack",
    "Browser extension",
    "Editor",
  ]);
});

test("the queue fits a phone", async () => {
  const page = await onSession(on, { viewport: { width: 390, height: 844 }, hasTouch: true });
  await withThree(page);
  session.prompt(BO, "A prompt with so many words that it does not fit into one line of a phone at all");
  session.stop(ADA);
  await page.getByRole("button", { name: "Resume" }).waitFor();
  const wider = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  expect(wider).toBe(false);
  const box = await row(page, "Two").getByRole("button", { name: "Move down" }).boundingBox();
  expect(box?.width).toBeGreaterThanOrEqual(40);
});
