/** What every page has: the palette, shortcuts, toasts, notifications, and what is said when offline. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { addSession, onSession, stage, useBrowser } from "./harness.ts";
import { inspect } from "./inspection.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;

beforeEach(async () => {
  on = await stage();
});
afterEach(() => on.close());

test("the palette finds sessions, repositories and actions by a few letters", async () => {
  addSession(on.peer);
  const page = await on.open("/");
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  await page.keyboard.press("Control+k");
  const field = page.getByRole("combobox", { name: "Search sessions, repositories and actions" });
  await field.fill("tstfl");
  await page.getByRole("option", { name: /The tests fail/ }).waitFor();
  await inspect(page);
  await field.fill("paym");
  await page.getByRole("option", { name: "acme/payments New session" }).waitFor();
  await field.fill("statis");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Statistics", exact: true }).waitFor();
  await page.getByRole("dialog").waitFor({ state: "detached" });
});

test("what has the typed words comes before what has their letters", async () => {
  addSession(on.peer).append({ type: "session_titled", title: "Kept every byte" });
  const page = await on.open("/");
  await page.getByRole("link", { name: /Kept/ }).waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: /Search/ }).fill("keyb");
  await page.getByRole("option", { name: /Kept/ }).waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor();
});

test("the palette gives the focus back", async () => {
  const page = await on.open("/new");
  const prompt = page.getByRole("textbox", { name: "Prompt" });
  await prompt.focus();
  await page.keyboard.press("Control+k");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await expect.poll(() => prompt.evaluate((element) => element === document.activeElement)).toBe(true);
});

test("a question mark lists the shortcuts, but not while somebody writes", async () => {
  const page = await on.open("/new");
  await page.getByRole("textbox", { name: "Prompt" }).pressSequentially("Why?");
  expect(await page.getByRole("dialog").count()).toBe(0);
  await page.getByRole("heading", { name: "What should be done?" }).click();
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await page.getByText("Next session").waitFor();
  await inspect(page);
});

test("keys lead to a new session, through the sessions, and to the list", async () => {
  addSession(on.peer);
  const newer = addSession(on.peer, "ses_2");
  newer.tick(1_000);
  newer.append({ type: "session_titled", title: "Another one" });
  const page = await on.open("/");
  await page.getByRole("link", { name: /Another one/ }).waitFor();
  await page.keyboard.press("Alt+j");
  await page.getByRole("heading", { name: "Another one" }).waitFor();
  await page.keyboard.press("Alt+j");
  await page.getByRole("heading", { name: "The tests fail" }).waitFor();
  await page.keyboard.press("Alt+k");
  await page.getByRole("heading", { name: "Another one" }).waitFor();
  await page.keyboard.press("Control+/");
  await expect
    .poll(() => page.getByRole("searchbox", { name: "Search sessions" }).evaluate((element) => element === document.activeElement))
    .toBe(true);
  await page.keyboard.press("Control+Shift+O");
  await page.getByRole("heading", { name: "What should be done?" }).waitFor();
});

test("being offline is said, and that it is over", async () => {
  addSession(on.peer);
  const page = await on.open("/");
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  await page.context().setOffline(true);
  await page.getByText("You are offline.").waitFor();
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  await page.context().setOffline(false);
  await page.getByText("You are offline.").waitFor({ state: "detached" });
});

test("notifications are offered once, by a button, and tell of the end of one’s own turn", async () => {
  const session = addSession(on.peer);
  session.onPrompt = () => undefined;
  const page = await on.open("/");
  await page.evaluate(() => {
    const shown: string[] = [];
    class Shown {
      static permission = "default";
      static asked = 0;
      static requestPermission() {
        Shown.asked += 1;
        Shown.permission = "granted";
        return Promise.resolve("granted");
      }
      constructor(title: string) {
        shown.push(title);
      }
      close() {}
    }
    Object.assign(window, { Notification: Shown, shown });
  });
  await page.getByRole("link", { name: "Settings" }).first().click();
  await page.getByRole("heading", { name: "Notifications" }).waitFor();
  expect(await page.evaluate(() => (window.Notification as unknown as { asked: number }).asked)).toBe(0);
  await page.getByRole("button", { name: "Turn on" }).click();
  await page.getByRole("button", { name: "Turn off" }).waitFor();
  const hidden = (state: string) =>
    page.evaluate((value) => {
      Object.defineProperty(document, "visibilityState", { value, configurable: true });
    }, state);
  await page.getByRole("link", { name: "Sessions", exact: true }).first().click();
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  await hidden("hidden");
  session.prompt(session.summary.created_by, "Fix it");
  await page.getByText("Working", { exact: true }).first().waitFor();
  session.endPrompt();
  await expect
    .poll(() => page.evaluate(() => (window as unknown as { shown: string[] }).shown))
    .toEqual(["Done: The tests fail"]);
  await hidden("visible");
});

test("notifications come from a worker that holds no page, and lead to their session", async () => {
  const session = addSession(on.peer);
  session.onPrompt = () => undefined;
  const page = await on.open("/settings");
  const context = page.context();
  await context.grantPermissions(["notifications"], { origin: on.url });
  await page.reload();
  const started = context.waitForEvent("serviceworker");
  await page.getByRole("button", { name: "Turn on" }).click();
  const worker = await started;
  await page.getByRole("button", { name: "Turn off" }).waitFor();
  await page.getByRole("link", { name: "Sessions", exact: true }).first().click();
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  await page.evaluate(() => Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true }));
  session.prompt(session.summary.created_by, "Fix it");
  await page.getByText("Working", { exact: true }).first().waitFor();
  session.endPrompt();
  const shown = () =>
    page.evaluate(async () => {
      const [registration] = await navigator.serviceWorker.getRegistrations();
      const all = (await registration?.getNotifications()) ?? [];
      return all.map(({ title, body }) => `${title}, ${body}`);
    });
  await expect.poll(shown, { timeout: 10_000 }).toEqual(["Done: The tests fail, acme/semver-lite"]);
  expect(await page.evaluate(() => navigator.serviceWorker.controller)).toBe(null);
  // As the system does when somebody presses it; only the system may bring the page to the front.
  await worker.evaluate(async () => {
    const scope = globalThis as unknown as {
      registration: ServiceWorkerRegistration;
      NotificationEvent: new (type: string, of: { notification: Notification | undefined }) => Event;
    };
    const [notification] = await scope.registration.getNotifications();
    const press = new scope.NotificationEvent("notificationclick", { notification });
    const done: Promise<unknown>[] = [];
    Object.defineProperty(press, "waitUntil", { value: (work: Promise<unknown>) => done.push(work) });
    globalThis.dispatchEvent(press);
    await Promise.allSettled(done);
  });
  await page.waitForURL("**/sessions/ses_1");
  await page.getByRole("log").waitFor();
  await expect.poll(shown).toEqual([]);
});

test("toasts are announced politely and can be dismissed by keys", async () => {
  addSession(on.peer);
  const page = await onSession(on);
  on.peer.failing = 503;
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("button", { name: "Archive session" }).click();
  const toast = page.getByRole("status").filter({ hasText: "The service is being restarted." });
  await toast.first().waitFor();
  await page.getByRole("button", { name: "Dismiss" }).focus();
  await page.keyboard.press("Enter");
  await page.getByText("The service is being restarted.").waitFor({ state: "detached" });
  on.peer.failing = undefined;
});
