/** A session of ten thousand events: it opens at its end, soon, and can be read up to its beginning. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { ADA } from "../dev/people.ts";
import { callTools, longSession, playTurn } from "../dev/long-session.ts";
import type { PlayedSession } from "../dev/played-session.ts";
import { addSession, onSession, stage, useBrowser } from "./harness.ts";

useBrowser();

const EVENTS = 10_000;
const OPENS_MS = 500;

let on: Awaited<ReturnType<typeof stage>>;
let session: PlayedSession;

beforeEach(async () => {
  on = await stage();
  session = addSession(on.peer);
});
afterEach(() => on.close());

test("it opens at its end in under half a second", async () => {
  const turns = longSession(session, EVENTS);
  const page = await on.open("/");
  const link = page.getByRole("link", { name: /The tests fail/ });
  await link.waitFor();
  const opened: number[] = [];
  // The fastest of five: a busy machine says nothing about the page.
  for (let round = 0; round < 5; round += 1) {
    opened.push(await page.evaluate(opensAt, turns));
    await page.goBack();
    await link.waitFor();
  }
  console.log(`opened after ${opened.map(Math.round).join(", ")} ms`);
  expect(Math.min(...opened)).toBeLessThan(OPENS_MS);
});

test("what came before loads upwards, every turn once, and nothing jumps", { timeout: 120_000 }, async () => {
  const turns = longSession(session, 3_000);
  const page = await onSession(on);
  await page.getByText(`Answer ${turns}`, { exact: true }).waitFor();
  const seen = new Set<string>();
  await page.locator(".timeline").hover();
  await page.evaluate(watchJumps);
  while (!seen.has("Ask 1")) {
    await page.mouse.wheel(0, -700);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    for (const text of await page.locator(".prompt-text").allInnerTexts()) seen.add(text.split(":")[0] ?? "");
  }
  expect(seen.size).toBe(turns);
  // Two frames of wheel and layout may each move it; more than that is a jump.
  expect(await page.evaluate(() => (window as unknown as { jumps: number[] }).jumps)).toEqual([]);
});

test("only what is near is on the page, and what somebody opened is still open when they come back", async () => {
  session.prompt(ADA, "Read everything");
  callTools(session, 1, 2_000);
  const page = await onSession(on);
  const tools = page.locator(".tool");
  await tools.last().waitFor();
  expect(await tools.count()).toBeLessThan(400);
  await tools.last().locator("summary").click();
  await page.getByLabel("Output").waitFor();
  await page.locator(".timeline").focus();
  await page.keyboard.press("Home");
  await page.getByText("Read everything").first().waitFor();
  await page.waitForFunction(() => (document.querySelector(".timeline")?.scrollTop ?? 1) === 0);
  await page.getByLabel("Output").waitFor({ state: "detached" });
  expect(await tools.count()).toBeLessThan(400);
  await page.keyboard.press("End");
  await page.getByLabel("Output").waitFor();
});

test("history that cannot be loaded says so and can be asked for again", async () => {
  longSession(session, 2_000);
  const page = await onSession(on);
  await page.getByText("Idle").first().waitFor();
  on.peer.failing = 503;
  await page.locator(".timeline").focus();
  await page.keyboard.press("Home");
  await page.getByText("What came before could not be loaded.").waitFor();
  on.peer.failing = undefined;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("What came before could not be loaded.").waitFor({ state: "detached" });
});

test("a page that opened at the end follows, reconnects and misses nothing", async () => {
  const turns = longSession(session, 2_000);
  const page = await onSession(on);
  await page.getByText(`Answer ${turns}`, { exact: true }).waitFor();
  session.cutAll();
  playTurn(session, turns + 1, 3);
  session.prompt(ADA, "And now?");
  await page.getByText(`Answer ${turns + 1}`, { exact: true }).waitFor();
  const part = session.part({ kind: "text" });
  session.grow(part, "Live.");
  await page.getByText("Live.").waitFor();
  expect(await page.getByText(`Answer ${turns + 1}`, { exact: true }).count()).toBe(1);
  await page.waitForFunction(() => {
    const element = document.querySelector(".timeline");
    return element !== null && element.scrollHeight - element.clientHeight - element.scrollTop < 2;
  });
});

/** From following the link until the newest answer is painted. */
function opensAt(turns: number): Promise<number> {
  const begun = performance.now();
  document.querySelector<HTMLElement>('a[href="/sessions/ses_1"]')?.click();
  return new Promise((done) => {
    const look = () => {
      const there = [...document.querySelectorAll(".answer strong")].some((answer) => answer.textContent === `Answer ${turns}`);
      if (there) requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
      else requestAnimationFrame(look);
    };
    look();
  });
}

/** Notes whenever a turn in view moves between two frames by more than the wheel moved it. */
function watchJumps(): void {
  const noted = { jumps: [] as number[] };
  Object.assign(window, noted);
  let before: { element: Element; top: number } | undefined;
  const look = () => {
    if (before?.element.isConnected) {
      const moved = before.element.getBoundingClientRect().top - before.top;
      if (Math.abs(moved) > 2 * 700 || moved < -2) noted.jumps.push(Math.round(moved));
    }
    const element = [...document.querySelectorAll(".prompt")].find((one) => {
      const { top, bottom } = one.getBoundingClientRect();
      return bottom > 60 && top < innerHeight - 200;
    });
    before = element && { element, top: element.getBoundingClientRect().top };
    requestAnimationFrame(look);
  };
  look();
}


test("code far above gets its colours when somebody comes there", async () => {
  session.prompt(ADA, "Explain all of it");
  const part = session.part({ kind: "text" });
  const section = (number: number) => `## Step ${number}\n\nA paragraph.\n\n\`\`\`rust\nfn step_${number}() -> bool { true }\n\`\`\`\n\n`;
  session.grow(part, Array.from({ length: 400 }, (_, index) => section(index)).join(""));
  const page = await onSession(on);
  await page.locator("code .hljs-keyword", { hasText: "fn" }).last().waitFor();
  expect(await page.locator("pre").count()).toBe(400);
  const middle = page.locator("pre").nth(200);
  expect(await middle.locator(".hljs-keyword").count()).toBe(0);
  await middle.evaluate((element) => element.scrollIntoView());
  await middle.locator(".hljs-keyword").first().waitFor();
  expect(await page.locator(".hljs-keyword").count()).toBeLessThan(400);
});
