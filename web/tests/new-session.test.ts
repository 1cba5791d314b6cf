/** A new session: its sandbox warms while the prompt is written, and nothing written is lost. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { furnish } from "../dev/furnishing.ts";
import { picture } from "../dev/picture.ts";
import type { PlayedSession } from "../dev/played-session.ts";
import { stage, useBrowser } from "./harness.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;

beforeEach(async () => {
  on = await stage();
});
afterEach(() => on.close());

const FILE = { name: "cart.png", mimeType: "image/png", buffer: picture(40, 40) };

const sessions = (): PlayedSession[] => [...on.peer.sessions.values()];

async function onPage(path = "/new") {
  const page = await on.open(path);
  await page.getByText(/^ ?Image /).waitFor();
  return { page, prompt: page.getByRole("textbox", { name: "Prompt" }) };
}

test("the first keystroke asks for a sandbox, and the page says how warm it is", async () => {
  const { page, prompt } = await onPage();
  expect(sessions()).toHaveLength(0);
  await prompt.pressSequentially("Fix");
  await page.getByText("Asking for a sandbox…").waitFor();
  const session = sessions()[0]!;
  await expect.poll(() => session.viewers).toBe(1);
  session.append({ type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 });
  await page.getByText("Sandbox starting…").waitFor();
  session.append({ type: "step", step: { name: "claim", started_at: session.now, ms: 40, detail: "from the pool" } });
  await page.getByText("Sandbox claimed in 40 ms (from the pool)").waitFor();
  session.tick(312);
  session.append({ type: "sandbox_ready", sandbox: "sbx_1", epoch: 1, image: null, commit: "1a2b3c4" });
  await page.getByText("Sandbox ready in 312 ms (from the pool)").waitFor();
  expect(sessions()).toHaveLength(1);
});

test("the prompt goes into the session that warmed for it, once, and is shown at once", async () => {
  const { page, prompt } = await onPage();
  await prompt.fill("Fix the cart");
  await expect.poll(() => sessions().length).toBe(1);
  await page.keyboard.press("Control+Enter");
  await page.waitForURL(/\/sessions\/ses_/);
  await page.locator(".prompt-text", { hasText: "Fix the cart" }).waitFor();
  await page.getByRole("log").waitFor();
  const [session] = sessions();
  expect(session?.log.filter(({ type }) => type === "prompt_queued")).toHaveLength(1);
  expect(sessions()).toHaveLength(1);
});

test("a prompt whose request was lost is sent by the session's page, and counts once", async () => {
  const { page, prompt } = await onPage();
  for (const arrives of [false, true]) {
    await page.goto(`${on.url}/new`);
    await page.getByText(/^ ?Image /).waitFor();
    const before = sessions().length;
    await prompt.fill("Fix the cart");
    await expect.poll(() => sessions().length).toBe(before + 1);
    await page.route("**/prompts", async (route) => {
      // Once the server never hears of it, once its answer is lost.
      if (arrives) await route.fetch();
      await route.abort();
    });
    await page.keyboard.press("Control+Enter");
    await page.locator(".prompt-text", { hasText: "Fix the cart" }).waitFor();
    const session = sessions().at(-1);
    await expect.poll(() => session?.log.filter(({ type }) => type === "prompt_queued").length).toBe(1);
    await page.unrouteAll();
  }
});

test("another repository releases the session that warmed for the one before", async () => {
  const { page, prompt } = await onPage();
  await prompt.fill("Fix the cart");
  await expect.poll(() => sessions().length).toBe(1);
  const repository = page.getByRole("combobox", { name: "Repository" });
  await repository.click();
  await repository.fill("storefront");
  await page.keyboard.press("Enter");
  await expect.poll(() => sessions().map(({ summary }) => [summary.repository, summary.state])).toEqual([
    ["acme/semver-lite", "archived"],
    ["acme/storefront", "warming"],
  ]);
});

test("a draft survives a reload: its text, its choices, its files, its session", async () => {
  const { page, prompt } = await onPage();
  const repository = page.getByRole("combobox", { name: "Repository" });
  await repository.click();
  await repository.fill("payments");
  await page.keyboard.press("Enter");
  const branch = page.getByRole("combobox", { name: "Branch" });
  await branch.click();
  await page.getByRole("option", { name: "next" }).click();
  await page.getByRole("combobox", { name: "Model" }).click();
  await page.getByRole("option", { name: "GPT-6" }).click();
  await prompt.fill("Fix the cart");
  await page.getByLabel("Files to attach").setInputFiles(FILE);
  await page.getByText(/\d B$/).waitFor();
  await page.reload();
  await page.getByText("cart.png").waitFor();
  expect(await prompt.inputValue()).toBe("Fix the cart");
  await expect.poll(() => repository.inputValue()).toBe("acme/payments");
  expect(await branch.inputValue()).toBe("next");
  await expect.poll(() => page.getByRole("combobox", { name: "Model" }).inputValue()).toBe("GPT-6");
  await page.getByRole("button", { name: "Start session" }).click();
  await page.getByRole("log").waitFor();
  const made = sessions().filter(({ summary }) => summary.state !== "archived");
  expect(made.map(({ summary }) => summary.branch)).toEqual(["next"]);
  const queued = made[0]?.log.find((event) => event.type === "prompt_queued");
  expect(queued).toMatchObject({ prompt: { text: "Fix the cart", attachments: [{ name: "cart.png" }] } });
});

test("files follow to another repository", async () => {
  const { page, prompt } = await onPage();
  await page.getByLabel("Files to attach").setInputFiles(FILE);
  await page.getByText(/\d B$/).waitFor();
  const repository = page.getByRole("combobox", { name: "Repository" });
  await repository.click();
  await repository.fill("storefront");
  await page.keyboard.press("Enter");
  await prompt.fill("Fix the cart");
  await page.getByText(/\d B$/).waitFor();
  await page.getByRole("button", { name: "Start session" }).click();
  await page.locator(".prompt-text", { hasText: "Fix the cart" }).waitFor();
  expect(sessions().at(-1)?.log.find((event) => event.type === "prompt_queued")).toMatchObject({
    prompt: { attachments: [{ name: "cart.png" }] },
  });
});

for (const [name, covers] of [
  ["that makes the page smaller", false],
  ["that covers the page", true],
] as const) {
  test(`on a small phone, a keyboard ${name} never hides what starts the session`, async () => {
    furnish(on.peer.registry, Date.now());
    const page = await on.open("/new?repository=acme%2Fstorefront", { viewport: { width: 375, height: 667 }, hasTouch: true });
    await page.getByRole("combobox", { name: "Environment" }).waitFor();
    const visible = 340;
    if (covers) {
      await page.evaluate((height) => {
        Object.defineProperty(VisualViewport.prototype, "height", { get: () => height });
        window.visualViewport?.dispatchEvent(new Event("resize"));
      }, visible);
    } else await page.setViewportSize({ width: 375, height: visible });
    const start = page.getByRole("button", { name: "Start session" });
    const hidden = async () => {
      const { y = 0, height = 0 } = (await start.boundingBox()) ?? {};
      return Math.max(0, y + height - visible, -y);
    };
    const prompt = page.getByRole("textbox", { name: "Prompt" });
    await prompt.tap();
    expect(await hidden()).toBe(0);
    await prompt.fill(Array.from({ length: 12 }, (_, line) => `Line ${line}`).join("\n"));
    expect(await hidden()).toBe(0);
    // Each choice can be reached, and is not beneath the button while it is changed.
    const environment = page.getByRole("combobox", { name: "Environment" });
    await environment.tap();
    await page.getByRole("option", { name: /^node-24/ }).tap();
    expect(await environment.inputValue()).toBe("node-24");
    expect(await hidden()).toBe(0);
  });
}

test("a draft that is gone is written again, and nothing of its text is lost", async () => {
  const { page, prompt } = await onPage();
  await prompt.fill("Fix the cart");
  await expect.poll(() => sessions().length).toBe(1);
  await page.goto(`${on.url}/`);
  on.peer.sessions.clear();
  await page.goto(`${on.url}/new`);
  await page.getByText(/^ ?Image /).waitFor();
  expect(await prompt.inputValue()).toBe("Fix the cart");
  await page.getByRole("button", { name: "Start session" }).click();
  await page.locator(".prompt-text", { hasText: "Fix the cart" }).waitFor();
});

test("pickers say how ready a repository is", async () => {
  const { page } = await onPage();
  await page.getByRole("combobox", { name: "Repository" }).click();
  for (const words of [/semver-lite ?built 1\d min ago/, /storefront.*rebuilding/, /payments.*last build failed/, /design-system ?no image yet/]) {
    await page.getByRole("option", { name: words }).waitFor();
  }
});

test("a branch that the server does not know of can be typed", async () => {
  const { page, prompt } = await onPage();
  const branch = page.getByRole("combobox", { name: "Branch" });
  await branch.click();
  await branch.fill("release");
  await page.getByRole("option", { name: "release/2.x" }).waitFor();
  await branch.fill("my/own");
  await page.getByRole("option", { name: /my\/own/ }).click();
  await prompt.fill("Fix the cart");
  await expect.poll(() => sessions()[0]?.summary.branch).toBe("my/own");
});

test("an address names the repository to start with", async () => {
  const { page } = await onPage("/new?repository=acme%2Fpayments");
  expect(await page.getByRole("combobox", { name: "Repository" }).inputValue()).toBe("acme/payments");
});
