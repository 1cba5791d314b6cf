/** The list of sessions: what stands where, live and in every tab. */
import type { Page } from "playwright-core";
import { afterEach, beforeEach, expect, test } from "vitest";

import { ADA, BO } from "../dev/people.ts";
import { answering, playNow } from "../dev/recording.ts";
import { addSession, onSession, stage, useBrowser } from "./harness.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;

beforeEach(async () => {
  on = await stage();
});
afterEach(() => on.close());

const group = (page: Page, name: string) => page.locator("section", { has: page.getByRole("heading", { name }) });

test("a session moves between groups while the page is open", async () => {
  const session = addSession(on.peer);
  const page = await on.open("/");
  await group(page, "Needs you").getByRole("link", { name: /The tests fail/ }).waitFor();
  session.onPrompt = () => undefined;
  session.prompt(ADA, "Fix it");
  await group(page, "Working").getByRole("link", { name: /The tests fail/ }).waitFor();
  session.append({
    type: "pull_request_opened",
    prompt: session.running,
    number: 7,
    url: "https://github.com/acme/semver-lite/pull/7",
    title: "Fix",
    by: { kind: "app" },
  });
  session.endPrompt();
  await group(page, "Ready for review").getByRole("link", { name: /#7/ }).waitFor();
});

test("a session that somebody else starts appears, unread", async () => {
  addSession(on.peer);
  const page = await on.open("/");
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  await expect.poll(() => on.peer.lobby.listeners).toBe(1);
  const other = addSession(on.peer, "ses_2");
  other.append({ type: "session_titled", title: "Started by Bo" });
  await page.getByRole("link", { name: /Started by Bo\s*Unread/ }).waitFor();
});

test("what changes in the list leaves the rest of it as it is", async () => {
  addSession(on.peer);
  const other = addSession(on.peer, "ses_2");
  other.append({ type: "session_titled", title: "Another one" });
  const page = await on.open("/");
  const entry = page.getByRole("link", { name: /The tests fail/ });
  await entry.focus();
  other.append({ type: "session_titled", title: "Called anew" });
  await page.getByRole("link", { name: /Called anew/ }).waitFor();
  expect(await entry.evaluate((link) => link === document.activeElement)).toBe(true);
});

test("the dot goes when the session is looked at, in other tabs too", async () => {
  addSession(on.peer);
  const elsewhere = await on.open("/");
  await elsewhere.getByText("Unread").waitFor();
  const page = await on.open("/");
  await page.getByRole("link", { name: /The tests fail/ }).click();
  await page.getByRole("log").waitFor();
  await elsewhere.getByText("Unread").waitFor({ state: "detached" });
  await page.goto(`${on.url}/`);
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  expect(await page.getByText("Unread").count()).toBe(0);
});

test("what happens in the open session stays read", async () => {
  const session = addSession(on.peer);
  session.onPrompt = () => playNow(session, answering(session, "Done."));
  const page = await onSession(on);
  session.prompt(BO, "And then?");
  await page.locator(".answer", { hasText: "Done." }).waitFor();
  expect(await page.getByText("Unread").count()).toBe(0);
});

test("the server searches, and an empty answer says so", async () => {
  addSession(on.peer);
  addSession(on.peer, "ses_2").append({ type: "session_titled", title: "Upgrade the router" });
  const page = await on.open("/");
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  const search = page.getByRole("searchbox", { name: "Search sessions" });
  await search.fill("router");
  await page.getByRole("link", { name: /The tests fail/ }).waitFor({ state: "detached" });
  await page.getByRole("link", { name: /Upgrade the router/ }).waitFor();
  await search.fill("nothing");
  await page.getByText("No session fits “nothing”.").waitFor();
  await search.fill("");
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
});

test("one’s own sessions can be shown alone, and that is remembered", async () => {
  addSession(on.peer);
  const page = await on.open("/", { as: BO });
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  await page.getByRole("button", { name: "Mine" }).click();
  await page.getByText("You have no sessions here yet.").waitFor();
  await page.reload();
  await page.getByText("You have no sessions here yet.").waitFor();
});

test("a fork stands beneath its parent", async () => {
  const parent = addSession(on.peer);
  on.peer.add({ ...parent.summary, id: "ses_2", title: "Another way", pull_requests: [], parent: { session: "ses_1", prompt: "pmt_1" } });
  const page = await on.open("/");
  await page.getByRole("link", { name: /Fork: Another way/ }).waitFor();
  const names = await page.locator(".entry-name").allTextContents();
  expect(names).toEqual(["The tests fail", "Another way"]);
});

test("what was missed while the connection was down is there after it", async () => {
  const session = addSession(on.peer);
  const page = await on.open("/");
  await page.getByRole("link", { name: /The tests fail/ }).waitFor();
  await expect.poll(() => on.peer.lobby.listeners).toBe(1);
  on.peer.failing = 503;
  on.peer.lobby.cutAll();
  await page.getByText("Reconnecting…").waitFor();
  session.append({ type: "session_titled", title: "Named meanwhile" });
  on.peer.failing = undefined;
  await page.getByRole("link", { name: /Named meanwhile/ }).waitFor();
  await page.getByText("Reconnecting…").waitFor({ state: "detached" });
});
