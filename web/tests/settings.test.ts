/** Settings: repositories with their images and secrets, tokens, and what only some may see. */
import type { Page } from "playwright-core";
import { afterEach, beforeEach, expect, test } from "vitest";

import { ADA } from "../dev/people.ts";
import { furnish } from "../dev/furnishing.ts";
import { stage, useBrowser } from "./harness.ts";
import { inspect } from "./inspection.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;

beforeEach(async () => {
  on = await stage();
  furnish(on.peer.registry, Date.now());
});
afterEach(() => on.close());

const STOREFRONT = "/settings/repositories/acme/storefront";
const shelf = () => on.peer.registry.shelf("acme/storefront");

test("an image is built on request, and its log is followed to its end", async () => {
  const page = await on.open("/settings/repositories/acme/semver-lite");
  await page.getByText("No image yet.").waitFor();
  await page.getByRole("button", { name: "Rebuild now" }).click();
  await page.locator("summary", { hasText: "Building" }).click();
  const [image] = on.peer.registry.shelf("acme/semver-lite").images;
  const id = image?.id ?? "";
  on.peer.registry.logImage("acme/semver-lite", id, "[setup] $ cargo fetch\n");
  const log = page.getByRole("region", { name: "Log" });
  await log.getByText("cargo fetch").waitFor();
  on.peer.registry.logImage("acme/semver-lite", id, "\u001b[32mdone\u001b[0m\n");
  on.peer.registry.finishImage("acme/semver-lite", id, { steps: [{ name: "cargo fetch", success: true, ms: 900 }] });
  await log.getByText("done").waitFor();
  await page.getByText("in use").waitFor();
  await page.getByText("Following the log").waitFor({ state: "detached" });
  expect(await log.textContent()).toBe("[setup] $ cargo fetch\ndone\n");
});

test("a log goes on from where it was when its stream breaks", async () => {
  const registry = on.peer.registry;
  const image = registry.startImage("acme/semver-lite", {}, ADA);
  registry.logImage("acme/semver-lite", image.id, "zwölf\n");
  const page = await on.open("/settings/repositories/acme/semver-lite");
  await page.locator("summary", { hasText: "Building" }).click();
  const log = page.getByRole("region", { name: "Log" });
  await log.getByText("zwölf").waitFor();
  registry.logs.cut();
  registry.logImage("acme/semver-lite", image.id, "two\n");
  await log.getByText("two").waitFor();
  expect(await log.textContent()).toBe("zwölf\ntwo\n");
  expect(registry.logs.begun).toEqual([0, 7]);
  expect(await page.getByRole("alert").count()).toBe(0);
});

test("what images hold and sandboxes reach is edited as text", async () => {
  const page = await on.open(STOREFRONT);
  await page.getByRole("textbox", { name: "Runtimes" }).fill("node 24");
  await page.getByRole("textbox", { name: "Hosts that sandboxes may reach" }).fill("no host");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("“no host” is no host").waitFor();
  await page.getByRole("textbox", { name: "Hosts that sandboxes may reach" }).fill("api.example.com\n*.acme.test");
  await page.getByRole("checkbox", { name: /Allow package registries/ }).uncheck();
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("Saved.").waitFor();
  expect(shelf().settings).toEqual({
    specification: { runtime: { node: "24" }, packages: ["libpq-dev", "jq"], setup: "npm ci\nnpm run build" },
    egress: { allow: ["api.example.com", "*.acme.test"], defaults: false },
  });
});

test("what is worked on in a repository is said in people's words, and nothing else changes by it", async () => {
  const before = shelf().settings;
  const page = await on.open(STOREFRONT);
  const hints = page.getByRole("textbox", { name: "What is worked on here" });
  await hints.fill("  The shop, the basket  ");
  await page.getByRole("button", { name: "Save hints" }).click();
  await page.getByText("Saved.").waitFor();
  expect(shelf().settings).toEqual({ ...before, hints: "The shop, the basket" });
  await page.getByRole("textbox", { name: "Runtimes" }).fill("node 24\npython 3.11");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect.poll(() => shelf().settings.specification?.runtime).toEqual({ node: "24", python: "3.11" });
  expect(shelf().settings.hints).toBe("The shop, the basket");
  await hints.fill("");
  await page.getByRole("button", { name: "Save hints" }).click();
  await expect.poll(() => shelf().settings.hints).toBeUndefined();
  expect(shelf().settings.egress).toEqual(before.egress);
});

test("a form leaves as it is what somebody else changed meanwhile", async () => {
  const page = await on.open(STOREFRONT);
  const hints = page.getByRole("textbox", { name: "What is worked on here" });
  await hints.fill("The shop");
  const stricter = { ...shelf().settings, egress: { allow: [], defaults: false } };
  shelf().settings = stricter;
  await page.getByRole("button", { name: "Save hints" }).click();
  await expect.poll(() => shelf().settings).toEqual({ ...stricter, hints: "The shop" });
  shelf().settings = { ...shelf().settings, hints: "The basket" };
  await page.getByRole("textbox", { name: "Runtimes" }).fill("node 24");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await expect.poll(() => shelf().settings.specification?.runtime).toEqual({ node: "24" });
  expect(shelf().settings.hints).toBe("The basket");
});

test("a secret is written and never shown", async () => {
  const page = await on.open(STOREFRONT);
  await page.getByRole("button", { name: "Set a secret" }).click();
  const form = page.getByRole("form", { name: "Set a secret" });
  await form.getByRole("textbox", { name: "Name" }).fill("DEPLOY_KEY");
  await form.getByLabel("Value", { exact: true }).fill("hunter2");
  await form.getByRole("textbox", { name: "Hosts" }).fill("deploy.acme.test");
  await form.getByRole("button", { name: "Set secret" }).click();
  await page.getByText("the header authorization for deploy.acme.test").waitFor();
  expect(await page.content()).not.toContain("hunter2");
  await page.getByRole("button", { name: "Remove DEPLOY_KEY" }).click();
  await page.getByRole("group", { name: "Remove DEPLOY_KEY" }).getByRole("button", { name: "Remove" }).click();
  await page.getByText("deploy.acme.test").waitFor({ state: "detached" });
  expect(shelf().secrets.map(({ name }) => name)).toEqual(["NPM_TOKEN", "STRIPE_TEST_KEY"]);
});

test("an environment is made, changed and removed", async () => {
  const page = await on.open(STOREFRONT);
  await page.getByRole("button", { name: "New environment" }).click();
  const form = page.getByRole("form", { name: "Environment" });
  await form.getByRole("textbox", { name: "Name" }).fill("python-only");
  await form.getByRole("textbox", { name: "Runtimes" }).fill("python");
  await form.getByRole("button", { name: "Build environment" }).click();
  await page.getByText("“python” is no runtime").waitFor();
  await form.getByRole("textbox", { name: "Runtimes" }).fill("python 3.11");
  await form.getByRole("button", { name: "Build environment" }).click();
  await page.getByRole("button", { name: "Edit python-only" }).waitFor();
  expect(shelf().environments.at(-1)).toMatchObject({ name: "python-only", specification: { runtime: { python: "3.11" } } });
  await page.getByRole("button", { name: "Remove python-only" }).click();
  await page.getByRole("group", { name: "Remove python-only" }).getByRole("button", { name: "Remove" }).click();
  await page.getByRole("button", { name: "Edit python-only" }).waitFor({ state: "detached" });
});

test("what one cannot push to cannot be changed here either", async () => {
  const page = await on.open("/settings/repositories/acme/design-system");
  await page.getByText("its settings are not yours to change").waitFor();
  expect(await page.getByRole("textbox", { name: "Runtimes" }).isDisabled()).toBe(true);
  expect(await page.getByRole("button", { name: "Set a secret" }).count()).toBe(0);
});

test("a token is shown once", async () => {
  const page = await on.open("/settings/tokens");
  await page.getByRole("textbox", { name: "Name" }).fill("Release notes");
  await page.getByRole("checkbox", { name: /Write/ }).check();
  await page.getByRole("button", { name: "Create token" }).click();
  const secret = await page.locator("code.secret").textContent();
  expect(secret).toMatch(/^ha_/);
  expect(on.peer.registry.tokens.at(-1)).toMatchObject({ name: "Release notes", scopes: ["read", "write"] });
  await page.reload();
  await page.getByText("Release notes").waitFor();
  expect(await page.content()).not.toContain(secret ?? "");
  await page.getByRole("button", { name: "Revoke Release notes" }).click();
  await page.getByRole("group", { name: "Revoke Release notes" }).getByRole("button", { name: "Revoke" }).click();
  await page.getByText("Release notes").waitFor({ state: "detached" });
});

test("a commit address that GitHub does not know is refused in words", async () => {
  const page = await on.open("/settings/account");
  await page.getByRole("textbox", { name: "E-mail" }).fill("ada@elsewhere.test");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("GitHub has not verified this address").waitFor();
  await page.getByRole("textbox", { name: "E-mail" }).fill("ada@acme.test");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("Your commits have ada@acme.test from now on.").waitFor();
  expect(on.peer.registry.commitEmail).toBe("ada@acme.test");
});

test("that Slack was disconnected is said, with what to do", async () => {
  on.peer.registry.slack = {
    connected: false,
    outage: { since: Date.UTC(2026, 10, 30), message: "The app was removed from the workspace. Install it again." },
  };
  const page = await on.open("/settings/integrations");
  await page.getByText(/Disconnected since .*2026.* The app was removed from the workspace\. Install it again\./).waitFor();
  await page.getByText("Disconnected", { exact: true }).waitFor();
});

test("the audit log is for administrators", async () => {
  const page = await on.open("/settings/audit");
  await page.getByText("mallory").waitFor();
  await page.route("**/api/me", async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ json: { ...(await answer.json()), role: "member" } });
  });
  await page.reload();
  await page.getByText("There is nothing here").waitFor();
  expect(await page.getByRole("link", { name: "Audit log" }).count()).toBe(0);
});

const PLACES: readonly [string, (page: Page) => Promise<void>][] = [
  ["/settings/account", (page) => page.getByRole("heading", { name: "Commit address" }).waitFor()],
  ["/settings/repositories", (page) => page.getByText("acme/storefront").waitFor()],
  [
    STOREFRONT,
    async (page) => {
      await page.locator("summary", { hasText: "Failed" }).click();
      await page.getByRole("button", { name: "Set a secret" }).click();
      await page.getByRole("button", { name: "Edit integration" }).click();
      await page.getByText("registry.example.test failed").waitFor();
    },
  ],
  ["/settings/tokens", (page) => page.getByText("Team board").waitFor()],
  ["/settings/integrations", (page) => page.getByText("acme-agents").waitFor()],
  ["/settings/shortcuts", (page) => page.getByText("Send the prompt").waitFor()],
  ["/settings/audit", (page) => page.getByText("mallory").waitFor()],
  ["/statistics", (page) => page.getByRole("heading", { name: "Warm sandboxes" }).waitFor()],
];

for (const [name, options] of Object.entries({
  "on a desktop": { viewport: { width: 1440, height: 900 } },
  "on a desktop in the dark": { viewport: { width: 1440, height: 900 }, colorScheme: "dark" },
  "on a phone": { viewport: { width: 390, height: 844 }, hasTouch: true },
  "on a phone in the dark": { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true },
} as const)) {
  test(`axe finds nothing serious in settings and statistics ${name}`, async () => {
    const page = await on.open("/", options);
    for (const [path, ready] of PLACES) {
      await page.goto(`${on.url}${path}`);
      await ready(page);
      await inspect(page);
    }
  });
}

test("on a phone the audit log is read without scrolling sideways", async () => {
  const long = "a".repeat(120);
  on.peer.registry.audit = [
    { at: Date.now(), user: 1, login: "somebody-with-a-long-name", means: "browser", deed: "signed_out_everywhere", subject: long, detail: long },
  ];
  const page = await on.open("/settings/audit", { viewport: { width: 390, height: 844 }, hasTouch: true });
  const row = page.getByRole("row", { name: /somebody-with-a-long-name/ });
  await row.waitFor();
  expect(await page.getByRole("region", { name: "Audit log" }).evaluate((box) => box.scrollWidth - box.clientWidth)).toBe(0);
  expect(await row.getByRole("cell").count()).toBe(5);
  for (const cell of await row.getByRole("cell").all()) {
    const box = await cell.boundingBox();
    expect((box?.x ?? 0) + (box?.width ?? 999)).toBeLessThanOrEqual(390);
  }
});

test("on a phone whatever is pressed is at least 44 pixels high", async () => {
  const page = await on.open("/", { viewport: { width: 390, height: 844 }, hasTouch: true });
  const found: string[] = [];
  for (const [path, ready] of [...PLACES, ["/new", (at: Page) => at.getByText(/^ ?Image /).waitFor()] as const]) {
    await page.goto(`${on.url}${path}`);
    await ready(page);
    const small = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>("button, a, summary, select, input:not([type=file], [type=checkbox], [type=radio])")]
        .filter((element) => element.checkVisibility() && !element.closest(".unseen"))
        .map((element) => ({ element, box: (element.closest("label, .picker") ?? element).getBoundingClientRect() }))
        .filter(({ box }) => box.height > 0 && box.height < 44)
        .map(({ element, box }) => `${element.outerHTML.slice(0, 90)} is ${box.height} high`),
    );
    found.push(...small.map((one) => `${path}: ${one}`));
  }
  expect(found).toEqual([]);
});
