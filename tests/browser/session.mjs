// One person's way through a running stack, in a real browser: sign in with the forge, start a
// session, see the answer grow before it is complete, see it done.
//
//   BASE_URL      where the stack is                       (required)
//   LOGIN         whom to sign in as                       (required)
//   REPOSITORY    on what, "owner/name"                    (required)
//   PROMPT        what to ask for       (default: the tests fail, find out why and fix it)
//   SCREENSHOTS   a folder for pictures                    (default: none are taken)
//   TIMEOUT_MS    longest wait for the agent               (default: 180000)
//   CHROMIUM_BIN  (default: /usr/bin/chromium)   PLAYWRIGHT_CORE  (default: the client's own)
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const BASE_URL = required("BASE_URL");
const LOGIN = required("LOGIN");
const REPOSITORY = required("REPOSITORY");
const PROMPT = process.env.PROMPT ?? "the tests fail, find out why and fix it";
const SCREENSHOTS = process.env.SCREENSHOTS;
const PAGE_MS = 60_000;
const AGENT_MS = Number(process.env.TIMEOUT_MS ?? 180_000);

const requireOfWeb = createRequire(new URL("../../web/package.json", import.meta.url));
const library = process.env.PLAYWRIGHT_CORE ?? requireOfWeb.resolve("playwright-core");
const { chromium } = await import(pathToFileURL(library).href).then((module) => module.default ?? module);

const begun = Date.now();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_BIN ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
page.setDefaultTimeout(PAGE_MS);

const complaints = [];
page.on("pageerror", (error) => complaints.push(String(error)));
page.on("console", (message) => {
  const text = message.text();
  // Before signing in, asking who is signed in is answered with 401: the browser reports that.
  const ours = message.location().url.startsWith(BASE_URL) || /Content Security Policy|Trusted/.test(text);
  if (message.type() === "error" && ours && !text.includes("status of 401")) complaints.push(text);
});

let failure;
try {
  await signIn();
  await startSession();
  await watchTheAnswerGrow();
  await finish();
  if (complaints.length > 0) throw new Error(`the browser complains:\n  ${complaints.join("\n  ")}`);
} catch (error) {
  failure = error;
  await picture("failure");
}
await browser.close();
if (failure) {
  say(`FAILED: ${failure.message}`);
  process.exit(1);
}
say("passed");

async function signIn() {
  await page.goto(BASE_URL);
  const button = page.getByRole("button", { name: "Sign in with GitHub" });
  await button.waitFor();
  await picture("sign-in");
  await button.click();
  // One form for each person on the forge's page; a link or a button would do as well.
  const exact = new RegExp(`(^|[^\\w-])${LOGIN.replace(/[^\w]/g, "\\$&")}($|[^\\w-])`);
  const form = page.locator(`form:has(input[name="login"][value="${LOGIN}"])`).locator("button, input[type=submit]");
  const person = form.or(page.locator("button, a").filter({ hasText: exact })).first();
  await person.click();
  await page.getByRole("button", { name: "Account and appearance" }).waitFor();
  await page.waitForURL((url) => url.href.startsWith(BASE_URL));
  say(`signed in as ${LOGIN}`);
  await picture("sessions");
}

async function startSession() {
  await page.goto(new URL("/new", BASE_URL).href);
  const repository = page.getByRole("combobox", { name: "Repository" });
  await repository.click();
  await repository.fill(REPOSITORY);
  await page.getByRole("option", { name: REPOSITORY }).click();
  await page.getByRole("textbox", { name: "Prompt" }).fill(PROMPT);
  await picture("new-session");
  // Before the page can show anything, so that no change goes unseen.
  await page.evaluate(recordGrowth);
  await page.keyboard.press("Control+Enter");
  await page.waitForURL(/\/sessions\/ses_/);
  await page.locator(".prompt-text").filter({ hasText: PROMPT.split("\n")[0] }).waitFor();
  say(`session ${new URL(page.url()).pathname}`);
}

async function watchTheAnswerGrow() {
  await page.waitForFunction(() => window.growth.some((seen) => seen.working && seen.lengths.length > 0), undefined, {
    timeout: AGENT_MS,
  });
  say("the first words are on the page, and the agent still works");
  await picture("streaming");
  // Either it has grown twice, or it is over and never did.
  await page.waitForFunction(
    () => window.grownWhileWorking() || window.growth.at(-1)?.working === false,
    undefined,
    { timeout: AGENT_MS },
  );
  const { grown, seen } = await page.evaluate(() => ({ grown: window.grownWhileWorking(), seen: window.growth }));
  if (!grown) throw new Error(`no text was seen to grow before the prompt had finished: ${JSON.stringify(seen)}`);
  say("the text grows before the answer is complete");
}

async function finish() {
  await page.locator(".in-progress").waitFor({ state: "detached", timeout: AGENT_MS });
  const failed = page.locator(".turn .row.bad[role=alert]");
  if ((await failed.count()) > 0) throw new Error(`the prompt failed: ${await failed.first().innerText()}`);
  const answer = await page.locator(".turn .answer").last().innerText();
  if (answer.trim() === "") throw new Error("there is no answer");
  say(`done: ${JSON.stringify(answer.slice(0, 200))}`);
  await picture("done");
  // A fresh page folds the log anew and must come to the same.
  await page.reload();
  await page.locator(".turn .answer").last().waitFor();
  const again = await page.locator(".turn .answer").last().innerText();
  if (again !== answer) throw new Error(`after a reload the answer reads ${JSON.stringify(again)}`);
  say("a reload shows the same answer");
  await page.setViewportSize({ width: 390, height: 844 });
  await picture("done-phone");
  await page.emulateMedia({ colorScheme: "dark" });
  await picture("done-phone-dark");
  await page.setViewportSize({ width: 1440, height: 900 });
  await picture("done-dark");
}

// Runs in the page: notes how long each text is whenever anything changes, and whether the
// prompt was still running then.
function recordGrowth() {
  window.growth = [];
  const note = () => {
    if (!document.querySelector(".turn")) return;
    const lengths = [...document.querySelectorAll(".turn .answer")].map((answer) => answer.textContent.length);
    const working = document.querySelector(".in-progress") !== null;
    const last = window.growth.at(-1);
    if (last && last.working === working && String(last.lengths) === String(lengths)) return;
    window.growth.push({ working, lengths });
  };
  // A text that is there at two lengths, both while the prompt was running.
  window.grownWhileWorking = () => {
    const running = window.growth.filter((seen) => seen.working);
    return running.some((seen) => seen.lengths.some((length, at) => running.some((other) => other.lengths[at] > length)));
  };
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true, characterData: true });
}

async function picture(name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}

function say(text) {
  console.log(`[${((Date.now() - begun) / 1000).toFixed(1).padStart(6)} s] ${text}`);
}

function required(name) {
  const value = process.env[name];
  if (value) return value;
  console.error(`session.mjs: set ${name}; the head of the file tells what there is`);
  process.exit(2);
}
