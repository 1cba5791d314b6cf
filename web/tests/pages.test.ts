/** Signing in, the list, a new session; and what every page must be. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { ADA } from "../dev/people.ts";
import { answering, mending, playNow } from "../dev/recording.ts";
import { addSession, onSession, stage, useBrowser } from "./harness.ts";
import { inspect } from "./inspection.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;

beforeEach(async () => {
  on = await stage();
});
afterEach(() => on.close());

test("whoever is not signed in signs in first, and lands where they wanted to go", async () => {
  addSession(on.peer);
  const page = await onSession(on);
  await page.context().clearCookies();
  await page.goto(`${on.url}/sessions/ses_1`);
  await page.getByRole("button", { name: "Sign in with GitHub" }).click();
  await page.getByRole("log").waitFor();
  expect(new URL(page.url()).pathname).toBe("/sessions/ses_1");
});

test("a sign-in that failed says why", async () => {
  const page = await on.open("/");
  await page.context().clearCookies();
  await page.goto(`${on.url}/signin?error=expired`);
  await page.getByText("That sign-in took too long").waitFor();
});

test("signing out ends it", async () => {
  const page = await on.open("/");
  await page.getByRole("button", { name: "Account and appearance" }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Sign in with GitHub" }).waitFor();
  await page.goto(`${on.url}/`);
  await page.getByRole("button", { name: "Sign in with GitHub" }).waitFor();
});

test("without sessions the list leads to the first one", async () => {
  const page = await on.open("/");
  await page.getByText("No sessions yet").waitFor();
  await page.getByRole("link", { name: "Start the first session" }).click();
  await page.getByRole("heading", { name: "What should be done?" }).waitFor();
});

test("a list that cannot be fetched says so, and can be tried again", async () => {
  const page = await on.open("/");
  await expect.poll(() => on.peer.lobby.listeners).toBe(1);
  on.peer.failing = 503;
  await page.evaluate(() => window.dispatchEvent(new Event("focus")));
  await page.getByText("The service is being restarted.").waitFor();
  on.peer.failing = undefined;
  addSession(on.peer);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  await page.getByText("The service is being restarted.").waitFor({ state: "detached" });
});

test("a session starts with a prompt and shows it", async () => {
  on.peer.onSession = (session) => {
    session.onPrompt = () => playNow(session, answering(session, "Done."));
  };
  const page = await on.open("/new");
  const repository = page.getByRole("combobox", { name: "Repository" });
  await repository.click();
  await repository.fill("store");
  await page.keyboard.press("Enter");
  await page.getByRole("textbox", { name: "Prompt" }).fill("Fix the cart");
  await page.keyboard.press("Control+Enter");
  await page.locator(".prompt-text", { hasText: "Fix the cart" }).waitFor();
  await page.locator(".answer", { hasText: "Done." }).waitFor();
  const [session] = on.peer.sessions.values();
  expect(session?.summary).toMatchObject({ repository: "acme/storefront", branch: "main" });
  await page.goto(`${on.url}/new`);
  expect(await page.getByRole("textbox", { name: "Prompt" }).inputValue()).toBe("");
});

test("a session that could not be started can be started again, once", async () => {
  const page = await on.open("/new");
  await page.getByText("Image built").waitFor();
  // The server makes the session, and its answers are lost.
  let losing = true;
  await page.route("**/api/sessions", async (route) => {
    if (route.request().method() !== "POST" || !losing) return route.continue();
    await route.fetch();
    await route.abort();
  });
  await page.getByRole("textbox", { name: "Prompt" }).fill("Fix the cart");
  await page.getByRole("button", { name: "Start session" }).click();
  await page.getByText("The server cannot be reached.").waitFor();
  losing = false;
  await page.getByRole("button", { name: "Start session" }).click();
  await page.getByRole("log").waitFor();
  expect(on.peer.sessions.size).toBe(1);
});

test("an empty prompt is refused on the page", async () => {
  const page = await on.open("/new");
  await page.getByRole("button", { name: "Start session" }).click();
  await page.getByText("Write something first.").waitFor();
  expect(on.peer.sessions.size).toBe(0);
});

test("an address without a page says so", async () => {
  const page = await on.open("/nothing/here");
  await page.getByText("There is nothing here").waitFor();
});

test("the appearance that somebody chose survives a reload", async () => {
  const page = await on.open("/", { colorScheme: "light" });
  await page.getByRole("button", { name: "Account and appearance" }).click();
  await page.getByRole("button", { name: "Dark" }).click();
  await page.reload();
  await page.getByRole("heading", { name: "Sessions", exact: true }).waitFor();
  const scheme = await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  expect(scheme).toBe("dark");
});

for (const [name, options] of Object.entries({
  "on a desktop": { viewport: { width: 1440, height: 900 } },
  "on a phone in the dark": { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true },
} as const)) {
  test(`axe finds nothing serious ${name}, and no page is wider than the screen`, async () => {
    const session = addSession(on.peer);
    session.prompt(ADA, "Fix it");
    playNow(session, mending(session));
    session.prompt(ADA, "And then?");
    session.prompt(ADA, "This waits");
    const page = await onSession(on, options);
    await page.getByRole("button", { name: /Worked for/ }).click();
    await page.locator("summary", { hasText: "cargo test" }).first().click();
    await inspect(page);
    await page.goto(`${on.url}/`);
    await page.getByRole("link", { name: /The tests fail/ }).waitFor();
    await inspect(page);
    await page.goto(`${on.url}/new`);
    await page.getByRole("combobox", { name: "Repository" }).click();
    await inspect(page);
    await page.goto(`${on.url}/signin?error=denied`);
    await page.context().clearCookies();
    await page.reload();
    await page.getByRole("button", { name: "Sign in with GitHub" }).waitFor();
    await inspect(page);
  });
}
