/** The session page in a real browser, over the protocol. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { ADA, BO } from "../dev/people.ts";
import type { PlayedSession } from "../dev/played-session.ts";
import { answering, mending, playNow, text as written } from "../dev/recording.ts";
import { addSession, onSession, stage, useBrowser } from "./harness.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;
let session: PlayedSession;

beforeEach(async () => {
  on = await stage();
  session = addSession(on.peer);
});
afterEach(() => on.close());

const LONG = Array.from({ length: 60 }, (_, index) => `Paragraph ${index + 1}.`).join("\n\n");

test("text is on the page before its part has finished", async () => {
  session.prompt(ADA, "Say hello");
  const page = await onSession(on);
  const part = session.part({ kind: "text" });
  session.grow(part, "Hello, ");
  await page.getByText("Hello,").waitFor();
  session.grow(part, "**Ada**.");
  await page.locator(".answer strong", { hasText: "Ada" }).waitFor();
  expect(await page.locator(".answer").innerText()).toBe("Hello, Ada.");
  session.endPart(part);
  session.endPrompt();
  await page.getByText("Idle").first().waitFor();
  expect(await page.locator(".answer").innerText()).toBe("Hello, Ada.");
});

test("lists keep their numbers and tables their alignment", async () => {
  session.prompt(ADA, "Lay it out");
  playNow(session, answering(session, "3. three\n4. four\n\n| n |\n| -: |\n| 1 |"));
  const page = await onSession(on);
  expect(await page.locator(".answer ol").getAttribute("start")).toBe("3");
  const cell = page.locator(".answer td");
  expect(await cell.evaluate((element) => getComputedStyle(element).textAlign)).toBe("end");
});

test("what is written from right to left is read so, and code beside it is not", async () => {
  session.append({ type: "session_titled", title: "أصلح الاختبارات" });
  session.prompt(ADA, "الاختبارات تفشل.");
  playNow(session, written(session, "سأبدأ بما يفشل.\n\n- أقرأ\n- `cargo test`\n\nIn English.\n\n```\nfn main() {}\n```\n"));
  const page = await onSession(on);
  const direction = (selector: string) => page.locator(selector).first().evaluate((element) => getComputedStyle(element).direction);
  await page.getByText("In English.").waitFor();
  expect(await direction(".session-name h1 > *")).toBe("rtl");
  expect(await direction(".prompt-text")).toBe("rtl");
  expect(await direction(".prose p:has-text('سأبدأ')")).toBe("rtl");
  expect(await direction(".prose ul")).toBe("rtl");
  expect(await direction(".prose p:has-text('In English.')")).toBe("ltr");
  expect(await direction(".prose pre")).toBe("ltr");
});

test("a text from right to left is read so while it grows, whatever comes into it", async () => {
  session.prompt(ADA, "اشرح");
  const page = await onSession(on);
  const text = "**سأبدأ** بما يفشل.\n\n- *أقرأ* `a`\n- b\n\n> «سأبدأ»\n\n`cargo` أقرأ\n\n";
  const part = session.part({ kind: "text" });
  const blocks = page.locator(".prose > div > div > *");
  for (const piece of text) {
    session.grow(part, piece);
    await page.evaluate(() => new Promise(requestAnimationFrame));
    const wrong = await blocks.evaluateAll((all) =>
      all.filter((block) => {
        const first = /\p{L}/u.exec(block.textContent)?.[0];
        return first !== undefined && (getComputedStyle(block).direction === "rtl") !== first > "z";
      }).map((block) => block.outerHTML),
    );
    expect(wrong).toEqual([]);
  }
  await expect.poll(() => blocks.count()).toBe(4);
});

test("a waiting prompt is read in its own direction, whoever wrote it", async () => {
  session.prompt(ADA, "Fix it");
  session.prompt(ADA, "أصلح الاختبارات");
  const page = await onSession(on);
  const waiting = page.locator(".queued-text", { hasText: "أصلح" });
  expect(await waiting.evaluate((element) => getComputedStyle(element).direction)).toBe("rtl");
});

test("a text that came in pieces looks as it does when it is opened", async () => {
  session.prompt(ADA, "Show me everything");
  const page = await onSession(on);
  const part = session.part({ kind: "text" });
  const text = [
    "Some **bold** and `code`, more\n\n- one\n- two *more*\n  - deep `a`\n\n1. x\n2. y",
    "| a | b |\n| - | :-: |\n| 1 | 2 **q** |\n\n> quote\n> more\n\n```\nlet a = 1;\n\nlet b;\n```",
    "End [l](https://example.com/x) &amp; <b>x</b> [r]\n\n[r]: https://example.com/r\n\nThe very end",
  ].join("\n\n");
  for (const piece of text.match(/[\s\S]{1,3}/g) ?? []) {
    session.grow(part, piece);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
  session.endPart(part);
  await page.getByText("The very end").waitFor();
  const answer = page.locator(".answer:not(.growing)");
  // Only the whole text tells that this leads somewhere.
  await answer.locator("a", { hasText: /^r$/ }).waitFor();
  const streamed = await answer.innerHTML();
  await page.reload();
  await page.getByText("The very end").waitFor();
  expect(await answer.innerHTML()).toBe(streamed);
});

test("a reconnect in the middle of a stream neither loses nor doubles anything", async () => {
  session.prompt(ADA, "Count");
  const page = await onSession(on);
  const first = session.part({ kind: "text" });
  session.grow(first, "one two ");
  await page.getByText("one two").waitFor();
  const viewers = session.viewers;
  session.cutAll();
  // While nobody listens: the part grows and ends, a tool runs, another part begins.
  session.grow(first, "three");
  session.endPart(first);
  const tool = session.part({ kind: "tool", tool: "bash", title: "cargo test", input: '{"command":"cargo test"}' });
  session.grow(tool, "ok\n");
  session.endPart(tool);
  const second = session.part({ kind: "text" });
  session.grow(second, "four ");
  await page.getByText("four").waitFor();
  expect(session.viewers).toBe(viewers);
  session.grow(second, "five");
  session.endPart(second);
  session.endPrompt();
  await page.locator(".answer", { hasText: "four five" }).waitFor();
  await page.locator(".in-progress").waitFor({ state: "detached" });
  expect(await page.locator(".answer").allInnerTexts()).toEqual(["one two three", "four five"]);
  expect(await page.locator(".tool-subject").allInnerTexts()).toEqual(["cargo test"]);
  expect(await page.locator(".turn").count()).toBe(1);
});

test("a lost connection is said, and that it is back", async () => {
  const page = await onSession(on);
  on.peer.failing = 503;
  session.cutAll();
  await page.getByText("Reconnecting…").waitFor();
  on.peer.failing = undefined;
  await page.getByText("Reconnecting…").waitFor({ state: "detached", timeout: 20_000 });
});

test("a prompt that is sent while the connection is down arrives once", async () => {
  const page = await onSession(on);
  on.peer.failing = 503;
  session.cutAll();
  await page.getByText("Reconnecting…").waitFor();
  await page.getByRole("textbox", { name: "Prompt" }).fill("Are you there?");
  await page.keyboard.press("Control+Enter");
  await page.getByText("will be sent when connected").waitFor();
  on.peer.failing = undefined;
  await page.locator(".prompt-text", { hasText: "Are you there?" }).waitFor({ timeout: 20_000 });
  expect(await page.getByText("Are you there?").count()).toBe(1);
  expect(session.log.filter((event) => event.type === "prompt_queued")).toHaveLength(1);
});

test("a prompt whose answer was lost is sent again and queued once", async () => {
  const page = await onSession(on);
  // The server takes the prompt, and the connection breaks before anybody hears of it.
  const prompt = session.prompt.bind(session);
  session.prompt = (...given) => {
    on.peer.failing = 503;
    session.prompt = prompt;
    session.cutAll();
    return prompt(...given);
  };
  await page.getByRole("textbox", { name: "Prompt" }).fill("Only once");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("will be sent when connected").waitFor();
  on.peer.failing = undefined;
  await page.locator(".prompt-text", { hasText: "Only once" }).waitFor({ timeout: 20_000 });
  await page.locator(".outgoing").waitFor({ state: "detached" });
  expect(session.log.filter((event) => event.type === "prompt_queued")).toHaveLength(1);
  expect(await page.getByText("Only once").count()).toBe(1);
});

test("a refused prompt says why and can be sent again", async () => {
  const page = await onSession(on);
  session.prompt = () => {
    const id = session.received.at(-1)?.client_request_id ?? "";
    delete (session as { prompt?: unknown }).prompt;
    session.say({ type: "error", code: "queue_full", message: "20 prompts wait already.", client_request_id: id });
    return "";
  };
  await page.getByRole("textbox", { name: "Prompt" }).fill("One more");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("20 prompts wait already.").waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".prompt-text", { hasText: "One more" }).waitFor();
});

test("the page stays at the end while it is there", async () => {
  session.prompt(ADA, "Write a lot");
  const page = await onSession(on);
  playNow(session, answering(session, LONG));
  await page.getByText("Paragraph 60.").waitFor();
  await page.waitForFunction(atEnd);
});

test("the page stays put when somebody has scrolled up, and tells that there is more", async () => {
  session.prompt(ADA, "Write a lot");
  playNow(session, answering(session, LONG));
  const page = await onSession(on);
  await page.waitForFunction(atEnd);
  await page.locator(".timeline").hover();
  await page.mouse.wheel(0, -400);
  await page.waitForFunction(() => !document.querySelector(".pill"));
  const top = () => page.locator(".timeline").evaluate((element) => element.scrollTop);
  // All the way: what still scrolls would be taken for a page that moved by itself.
  await page.waitForFunction((from) => (document.querySelector(".timeline")?.scrollTop ?? 0) <= from - 399, await end(page));
  const before = await top();
  session.prompt(BO, "And more");
  playNow(session, answering(session, LONG));
  const pill = page.getByRole("button", { name: "New activity" });
  await pill.waitFor();
  expect(await top()).toBe(before);
  await pill.click();
  await page.waitForFunction(atEnd);
  await pill.waitFor({ state: "detached" });
});

test("opening a tool call does not move the page", async () => {
  session.prompt(ADA, "Fix it");
  playNow(session, mending(session));
  const page = await onSession(on);
  await page.getByRole("button", { name: /Worked for/ }).click();
  const line = page.locator("summary", { hasText: "cargo test" }).first();
  await line.waitFor();
  const before = await line.boundingBox();
  await line.click();
  await page.getByLabel("Output").first().waitFor();
  expect((await line.boundingBox())?.y).toBe(before?.y);
  expect(await page.getByRole("button", { name: "New activity" }).count()).toBe(0);
});

test("a tool call opens by keyboard and shows output while it runs", async () => {
  session.prompt(ADA, "Run it");
  const page = await onSession(on);
  const tool = session.part({ kind: "tool", tool: "bash", title: "cargo test", input: '{"command":"cargo test"}' });
  session.grow(tool, "running 2 tests\n");
  const line = page.locator("summary", { hasText: "cargo test" });
  await line.focus();
  await page.keyboard.press("Enter");
  await page.getByLabel("Output").getByText("running 2 tests").waitFor();
  session.grow(tool, "\u001b[32mtest a ... ok\u001b[0m\n");
  await page.getByLabel("Output").getByText("test a ... ok").waitFor();
  expect(await page.getByLabel("Output").innerText()).toBe("running 2 tests\ntest a ... ok\n");
});

test("what is over is folded when the page opens, and the answer stays", async () => {
  session.prompt(ADA, "Fix it");
  playNow(session, mending(session));
  const page = await onSession(on);
  await page.getByText("23 passed, 0 failed").waitFor();
  expect(await page.getByText("cargo test").count()).toBe(0);
  await page.getByRole("button", { name: /Worked for/ }).click();
  await page.getByText("cargo test").first().waitFor();
});

test("what kept the workspace behind is read at once, and stays when its turn is folded", async () => {
  const message = "The work goes on from commit 111111111111, not from the newest, 222222222222: what was written to README.md before the workspace was up to date is in the way of newer changes to the same files.";
  session.prompt(ADA, "Fix it");
  const page = await onSession(on);
  await page.getByText("Working").first().waitFor();
  session.append({ type: "notice", message });
  await page.locator(".turn").getByText(message, { exact: true }).waitFor();
  playNow(session, answering(session, "Fixed."));
  await page.reload();
  await page.getByText("Fixed.").waitFor();
  expect(await page.locator(".turn").getByText(message, { exact: true }).isVisible()).toBe(true);
});

test("waiting prompts are shown with author, and can be edited and removed", async () => {
  session.prompt(ADA, "First");
  const page = await onSession(on);
  session.prompt(BO, "Second");
  session.prompt(ADA, "Third");
  const queue = page.getByRole("region", { name: "Queue" });
  await queue.getByText("Bo Andersen:").waitFor({ state: "attached" });
  const second = queue.getByRole("listitem").filter({ hasText: "Second" });
  await second.getByRole("button", { name: "Edit" }).click();
  await queue.getByRole("textbox").fill("Second, but better");
  await queue.getByRole("button", { name: "Save" }).click();
  await queue.getByText("edited by Ada Lindqvist").waitFor();
  await queue.getByRole("listitem").filter({ hasText: "Third" }).getByRole("button", { name: "Remove" }).click();
  await queue.getByText("Third").waitFor({ state: "detached" });
  session.endPrompt();
  await page.locator(".prompt-text", { hasText: "Second, but better" }).waitFor();
});

test("stop stops, and who did it is shown to everybody", async () => {
  session.onStop = (by) => session.endPrompt({ result: "stopped", by });
  session.prompt(ADA, "Go on for ever");
  const page = await onSession(on);
  const other = await onSession(on, { as: BO });
  await other.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped by Bo Andersen.").waitFor();
  await page.getByRole("button", { name: "Stop" }).waitFor({ state: "detached" });
});

test("Esc twice stops, Esc once does not", async () => {
  let stopped = 0;
  session.onStop = (by) => {
    stopped += 1;
    session.endPrompt({ result: "stopped", by });
  };
  session.prompt(ADA, "Go on for ever");
  const page = await onSession(on);
  await page.getByRole("textbox", { name: "Prompt" }).focus();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Esc again to stop" }).waitFor();
  await page.getByRole("button", { name: "Stop", exact: true }).waitFor();
  expect(stopped).toBe(0);
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.getByText("Stopped by Ada Lindqvist.").waitFor();
  expect(stopped).toBe(1);
});

test("two browsers see the same while one of them loses its connection in the middle of a stream", async () => {
  session.prompt(ADA, "Count to two hundred");
  const page = await onSession(on);
  const other = await onSession(on, { as: BO, viewport: { width: 390, height: 844 } });
  await page.getByRole("list", { name: "Here now" }).getByText("Bo Andersen").waitFor({ state: "attached" });
  const part = session.part({ kind: "text" });
  const words = Array.from({ length: 200 }, (_, index) => `w${index + 1}`);
  for (const [index, word] of words.entries()) {
    session.grow(part, `${word} `);
    if (index === 80) {
      await page.getByText("w81").waitFor();
      await other.context().setOffline(true);
      session.cutAll();
    }
    if (index === 140) {
      await page.getByText("w141").waitFor();
      session.prompt(BO, "And then?");
      await other.context().setOffline(false);
    }
  }
  session.endPart(part);
  for (const reader of [page, other]) {
    await reader.getByText("w200").waitFor({ timeout: 20_000 });
    expect((await reader.locator(".answer").innerText()).trim().split(/\s+/)).toEqual(words);
    expect(await reader.getByRole("region", { name: "Queue" }).getByRole("listitem").count()).toBe(1);
  }
});

test("everybody sees who is here and who types", async () => {
  const page = await onSession(on);
  const other = await onSession(on, { as: BO });
  await page.getByRole("list", { name: "Here now" }).getByText("Bo Andersen").waitFor({ state: "attached" });
  await other.getByRole("textbox", { name: "Prompt" }).pressSequentially("Hm");
  await page.getByText("Bo Andersen is typing…").waitFor();
  await other.context().close();
  await page.getByRole("list", { name: "Here now" }).getByText("Bo Andersen").waitFor({ state: "detached" });
});

test("a push and a pull request are shown with their numbers", async () => {
  session.prompt(ADA, "Fix it");
  playNow(session, mending(session));
  const page = await onSession(on);
  await page.getByText("Pushed").waitFor();
  const link = page.getByRole("link", { name: "Pull request #12", exact: true });
  expect(await link.getAttribute("href")).toBe("https://github.com/acme/semver-lite/pull/12");
  await page.getByRole("tab", { name: "Waterfall" }).click();
  const bars = page.locator(".waterfall li");
  expect(await bars.count()).toBe(7);
  expect(await bars.filter({ hasText: "First token" }).innerText()).toContain("480 ms");
});

test("a session is renamed where its title stands, by pointer and by keys", async () => {
  const page = await onSession(on);
  await page.getByRole("heading", { name: "The tests fail" }).getByRole("button").click();
  const field = page.getByRole("textbox", { name: "Title of the session" });
  await field.fill("Something else");
  await page.keyboard.press("Escape");
  await page.getByRole("heading", { name: "The tests fail" }).waitFor();
  await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe("The tests fail");
  await page.keyboard.press("Enter");
  await field.fill("  Precedence of   pre-releases ");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Precedence of pre-releases" }).waitFor();
  await expect.poll(() => session.summary.title).toBe("Precedence of pre-releases");
});

test("a title that is not taken goes back, and can be tried again", async () => {
  const page = await onSession(on);
  await page.route("**/api/sessions/ses_1", (route) =>
    route.request().method() === "PATCH" ? route.abort() : route.continue(),
  );
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /Search/ }).fill("rename");
  await page.keyboard.press("Enter");
  const field = page.getByRole("textbox", { name: "Title of the session" });
  await field.fill("Another");
  await page.keyboard.press("Enter");
  await page.getByText("The session keeps its name.").waitFor();
  await page.getByRole("heading", { name: "The tests fail" }).waitFor();
  await page.unroute("**/api/sessions/ses_1");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { name: "Another" }).waitFor();
});

test("an archived session takes no more prompts", async () => {
  const page = await onSession(on);
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("button", { name: "Archive session" }).click();
  await page.getByText("This session is archived.").waitFor();
  expect(await page.getByRole("textbox", { name: "Prompt" }).count()).toBe(0);
});

test("a session that is not there says so", async () => {
  const page = await on.open("/sessions/ses_none");
  await page.getByText("There is no such session").waitFor();
});

test("what is written survives a reload", async () => {
  const page = await onSession(on);
  await page.getByRole("textbox", { name: "Prompt" }).fill("half a thou");
  await page.reload();
  await page.getByRole("log").waitFor();
  expect(await page.getByRole("textbox", { name: "Prompt" }).inputValue()).toBe("half a thou");
});

function atEnd(): boolean {
  const element = document.querySelector(".timeline");
  if (!element) return false;
  return element.scrollHeight > element.clientHeight && element.scrollHeight - element.clientHeight - element.scrollTop < 2;
}

async function end(page: import("playwright-core").Page): Promise<number> {
  return page.locator(".timeline").evaluate((element) => element.scrollHeight - element.clientHeight);
}
