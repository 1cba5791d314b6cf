/** Files in a real browser: picked, pasted and dropped, sent with a prompt, shown in the timeline. */
import { afterEach, beforeEach, expect, test } from "vitest";

import type { Page } from "playwright-core";

import { ADA } from "../dev/people.ts";
import type { PlayedSession } from "../dev/played-session.ts";
import { addSession, onSession, stage, useBrowser } from "./harness.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;
let session: PlayedSession;

beforeEach(async () => {
  on = await stage();
  session = addSession(on.peer);
});
afterEach(() => on.close());

/** One red pixel. */
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC",
  "base64",
);

const SIZE = `${PNG.length} B`;

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true };

const composer = (page: Page) => page.getByRole("textbox", { name: "Prompt" });
const uploads = (page: Page) => page.locator(".uploads li");

/** As a browser does it when somebody pastes or drops files. */
async function give(page: Page, how: "paste" | "drop", name: string): Promise<void> {
  await composer(page).evaluate(
    (field, [kind, called, base64]) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], called, { type: "image/png" }));
      const event =
        kind === "paste"
          ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
          : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
      field.dispatchEvent(event);
    },
    [how, name, PNG.toString("base64")] as const,
  );
}

function shown(page: Page, name: string): Promise<boolean> {
  return page.getByRole("img", { name }).evaluate((image: HTMLImageElement) => image.complete && image.naturalWidth > 0);
}

test("a picked picture is previewed, sent with the prompt, and shown in it", async () => {
  const page = await onSession(on);
  await page.getByLabel("Files to attach").setInputFiles({ name: "shot.png", mimeType: "image/png", buffer: PNG });
  await uploads(page).getByText(SIZE).waitFor();
  expect(await uploads(page).locator("img").evaluate((image: HTMLImageElement) => image.src)).toMatch(/^blob:/);
  await composer(page).fill("What is wrong here?");
  await page.keyboard.press("Control+Enter");
  const picture = page.locator(".prompt").getByRole("img", { name: "shot.png" });
  await picture.waitFor();
  await expect.poll(() => shown(page, "shot.png")).toBe(true);
  expect(session.received.at(-1)?.attachments).toEqual(["art_1"]);
  expect(await uploads(page).count()).toBe(0);
});

test("pasted and dropped files are taken, and words are still pasted as words", async () => {
  const page = await onSession(on);
  await give(page, "paste", "pasted.png");
  await give(page, "drop", "dropped.png");
  await uploads(page).getByText("pasted.png").waitFor();
  await uploads(page).getByText("dropped.png").waitFor();
  await page.getByRole("button", { name: "Remove pasted.png" }).click();
  await composer(page).fill("Look");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".prompt").getByRole("img", { name: "dropped.png" }).waitFor();
  expect(session.log.findLast((event) => event.type === "prompt_queued")?.prompt.attachments?.map(({ name }) => name)).toEqual([
    "dropped.png",
  ]);
});

test("a file that is refused says why and holds the prompt back until it is taken away", async () => {
  const page = await onSession(on);
  on.peer.refusing = "The files of one session have at most 200 MiB together.";
  await page.getByLabel("Files to attach").setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("a") });
  await page.getByText("at most 200 MiB together").waitFor();
  await composer(page).fill("Read it");
  await page.getByRole("button", { name: "Send" }).click();
  await page.getByText("A file could not be uploaded.").waitFor();
  expect(session.received).toHaveLength(0);
  on.peer.refusing = undefined;
  await page.getByRole("button", { name: "Try again" }).click();
  await uploads(page).getByText("1 B").waitFor();
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".prompt").getByRole("link", { name: /notes\.txt/ }).waitFor();
});

test("a new session begins with the files that were given before it", async () => {
  const page = await on.open("/new");
  await page.getByLabel("Files to attach").setInputFiles({ name: "shot.png", mimeType: "image/png", buffer: PNG });
  await uploads(page).getByText(SIZE).waitFor();
  await composer(page).fill("Build this");
  await page.getByRole("button", { name: "Start session" }).click();
  await page.locator(".prompt").getByRole("img", { name: "shot.png" }).waitFor();
});

test("what the agent shares is shown where it was shared, and opens", async () => {
  session.prompt(ADA, "Show me");
  const page = await onSession(on);
  const picture = on.peer.keep("after.png", "image/png", PNG);
  const report = on.peer.keep("report.pdf", "application/pdf", Buffer.alloc(2048));
  const prompt = session.running;
  session.append({ type: "artifact_added", artifact: { ...picture, caption: "After the change" }, prompt });
  session.append({ type: "artifact_added", artifact: report, prompt });
  const turn = page.locator(".turn");
  await turn.getByRole("img", { name: "After the change" }).waitFor();
  await turn.getByText("After the change").last().waitFor();
  const file = turn.getByRole("link", { name: /report\.pdf/ });
  expect(await file.getAttribute("href")).toBe(`/api/sessions/ses_1/artifacts/${report.id}`);
  expect(await file.innerText()).toContain("2 KB");
  const [opened] = await Promise.all([page.context().waitForEvent("page"), turn.locator("a.picture").click()]);
  await opened.waitForURL(`**/api/sessions/ses_1/artifacts/${picture.id}`);
});

test("a picture that cannot be had is a file with a name", async () => {
  session.prompt(ADA, "Show me");
  const artifact = { id: "art_none", name: "gone.png", media_type: "image/png", bytes: 10 };
  session.append({ type: "artifact_added", artifact, prompt: session.running });
  const page = await onSession(on);
  await page.getByRole("link", { name: /gone\.png/ }).waitFor();
});

test("files fit a phone", async () => {
  const page = await onSession(on, PHONE);
  const long = `${"a-very-long-name-".repeat(8)}.png`;
  await page.getByLabel("Files to attach").setInputFiles({ name: long, mimeType: "image/png", buffer: PNG });
  await uploads(page).getByText(SIZE).waitFor();
  await composer(page).fill("Look");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".prompt img").last().waitFor();
  session.append({ type: "artifact_added", artifact: on.peer.keep(`${long}.pdf`, "application/pdf", PNG), prompt: session.running });
  await page.getByRole("link", { name: /\.pdf/ }).waitFor();
  const wider = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  expect(wider).toBe(false);
});
