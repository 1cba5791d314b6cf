/** Whatever the agent, a repository or a person writes stays text: nothing runs, nothing is fetched. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { ADA } from "../dev/people.ts";
import type { PlayedSession } from "../dev/played-session.ts";
import { partsOf } from "../dev/session-parts.ts";
import { addSession, onSession, stage, useBrowser } from "./harness.ts";

useBrowser();

let on: Awaited<ReturnType<typeof stage>>;
let session: PlayedSession;

beforeEach(async () => {
  on = await stage();
  session = addSession(on.peer);
});
afterEach(() => on.close());

const ATTACKS = [
  "<script>window.owned = 1</script>",
  "<img src=x onerror='window.owned = 1'>",
  "<svg onload='window.owned = 1'><animate onbegin='window.owned = 1' attributeName=x dur=1s>",
  "<iframe srcdoc='<script>parent.owned = 1</script>'></iframe>",
  "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=window.owned=1&gt;'>",
  "<details open ontoggle='window.owned = 1'>x</details>",
  "[link](javascript:window.owned=1)",
  "[link](  JaVaScRiPt:window.owned=1)",
  "[link](data:text/html,<script>opener.owned=1</script>)",
  "<javascript:window.owned=1>",
  "![image](x' onerror='window.owned=1)",
  '![x"onerror="window.owned=1](https://tracker.example/pixel.png)',
  "[a]: javascript:window.owned=1\n\n[a]",
  '```"><img src=x onerror=window.owned=1>\ncode\n```',
  "<form action=https://evil.example><button>Sign in again</button></form>",
  "<style>* { display: none }</style><link rel=stylesheet href=https://evil.example/a.css>",
  "<base href=https://evil.example/><meta http-equiv=refresh content='0;url=https://evil.example'>",
  "<a href=https://evil.example target=_self onclick=window.owned=1 style=position:fixed;inset:0>x</a>",
  "x <pre>y <img src=q onerror=window.owned=1 //",
  "| a |\n| - |\n| <img src=x onerror=window.owned=1> |",
  "```rust composer dragged\nlet x = \"</code></pre><img src=x onerror=window.owned=1>\";\n```",
];

test("attacks in every place are inert", async () => {
  const everything = ATTACKS.join("\n\n");
  session.append({ type: "session_titled", title: ATTACKS[1] ?? "" });
  session.prompt({ ...ADA, name: ATTACKS[0] ?? "", avatar: "javascript:window.owned=1" }, everything);
  const page = await onSession(on);
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));

  const text = session.part({ kind: "text" });
  // In pieces, so that every half-open state is rendered too.
  for (const piece of everything.match(/[\s\S]{1,7}/g) ?? []) session.grow(text, piece);
  session.endPart(text);
  const tool = session.part({ kind: "tool", tool: "bash", title: everything, input: JSON.stringify({ command: everything }) });
  session.grow(tool, everything);
  session.endPart(tool, { result: "failed", message: everything });
  session.append({ type: "notice", message: everything });
  session.append({
    type: "pushed",
    prompt: session.running,
    branch: everything,
    commit: "<b>abc",
    files: [{ path: everything, additions: 1, deletions: 1 }],
  });
  session.append({
    type: "pull_request_opened",
    prompt: session.running,
    number: 1,
    url: "javascript:window.owned=1",
    title: everything,
    by: { kind: "user", person: ADA },
  });
  session.endPrompt({ result: "failed", message: everything });
  await page.locator("summary .bad").first().waitFor();
  await page.locator("summary").first().click();
  await page.getByLabel("Output").waitFor();
  await page.getByText("Failed:").waitFor();

  expect(await page.evaluate(() => (window as { owned?: number }).owned)).toBeUndefined();
  const answer = page.locator(".answer");
  expect(await answer.locator("script, img, svg, iframe, style, link, base, meta, form, button, details, math").count()).toBe(0);
  const attributes = await answer.locator("*").evaluateAll((elements) => [
    ...new Set(elements.flatMap((element) => element.getAttributeNames())),
  ]);
  expect(attributes.filter((name) => !["class", "href", "target", "rel", "tabindex", "start", "align", "dir"].includes(name))).toEqual([]);
  expect(await answer.locator("[dir]").count()).toBe(0);
  const targets = await page.locator("a").evaluateAll((links) => links.map((link) => link.getAttribute("href") ?? ""));
  expect(targets.filter((target) => target && !/^(?:https:|\/)/.test(target))).toEqual([]);
  expect(asked.filter((url) => !url.startsWith(on.url))).toEqual([]);
  // It can be read, all the same.
  expect(await answer.innerText()).toContain("<script>window.owned = 1</script>");
});

test("code is coloured, and has no class but the colours'", async () => {
  session.prompt(ADA, "Show code");
  const page = await onSession(on);
  const text = session.part({ kind: "text" });
  session.grow(text, "```rust\nlet owned: &str = \"<b class='dock'>x</b>\";\n```\n\n```composer\nx\n```\n\n```constructor\ny\n```\n");
  session.endPart(text);
  await page.locator(".answer .hljs-string", { hasText: "<b class='dock'>x</b>" }).waitFor();
  const classes = await page.locator(".answer pre *").evaluateAll((elements) => elements.map((element) => element.className));
  expect(classes.filter((name) => !/^(?:language-[a-z+]+|hljs-[a-z_ -]+)$/.test(name))).toEqual([]);
});

test("attacks in changes are inert", async () => {
  const everything = ATTACKS.join(" ");
  const hunks = `@@ -1,${ATTACKS.length} +1,${ATTACKS.length} @@ ${ATTACKS[0]}\n${ATTACKS.map((attack) => `+${attack.replaceAll("\n", " ")}`).join("\n")}\n`;
  const path = `src/${ATTACKS[1]}/${ATTACKS[2]}`;
  partsOf(session).changes = (_, scope) => ({
    prompt: "pmt_1",
    scope,
    omitted: 0,
    files: [
      { path, previous: everything, change: "renamed", additions: 1, deletions: 1, patch: { kind: "text", hunks } },
      { path: "../../__proto__/x", change: "added", patch: { kind: "binary" } },
    ],
  });
  partsOf(session).contacts = [
    { host: everything, kind: "https", verdict: "denied", reason: everything, requests: 1, bytes_up: 1, bytes_down: 1, last_at: 1 },
  ];
  const page = await onSession(on, { viewport: { width: 1440, height: 900 } });
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.getByRole("tab", { name: "Changes" }).click();
  const panel = page.getByRole("tabpanel", { name: "Changes" });
  await panel.locator("td.code", { hasText: "<script>window.owned = 1</script>" }).first().waitFor();
  await page.getByRole("button", { name: "Split" }).click();
  await panel.locator(".split").waitFor();
  await page.getByRole("tab", { name: "Waterfall" }).click();
  await page.getByRole("region", { name: "Contacts" }).waitFor();
  expect(await page.locator(".inspector").locator("script, img, iframe, style, link, base, meta, math").count()).toBe(0);
  expect(await page.evaluate(() => (window as { owned?: number }).owned)).toBeUndefined();
  expect(asked.filter((url) => !url.startsWith(on.url))).toEqual([]);
});

test("what a terminal prints sets no more than text, and reads nothing", async () => {
  const terminal = on.peer.terminal("ses_1");
  const page = await onSession(on, { viewport: { width: 1440, height: 900 } });
  const dialogs: string[] = [];
  page.on("dialog", (dialog) => {
    dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  await page.getByRole("tab", { name: "Terminal" }).click();
  await page.locator(".xterm-rows").getByText("~/workspace").waitFor();
  const name = await page.title();
  // A title, the clipboard asked for and set, a link to a script, an answer that would be typed.
  terminal.print("\u001b]0;<img src=x onerror=window.owned=1>\u0007");
  terminal.print("\u001b]52;c;?\u0007\u001b]52;c;b3duZWQ=\u0007");
  terminal.print("\u001b]8;;javascript:window.owned=1\u0007click\u001b]8;;\u0007 \u001b[38;2;200;30;30mred\u001b[0m \u001b[c\u001b[6n done\r\n");
  await page.locator(".xterm-rows").getByText("done").waitFor();
  await page.getByRole("region", { name: "Terminal: <img src=x onerror=window.owned=1>" }).waitFor();
  await page.locator(".xterm-rows").getByText("click").click({ force: true });
  expect(await page.title()).toBe(name);
  expect(await page.evaluate(() => (window as { owned?: number }).owned)).toBeUndefined();
  expect(await page.locator(".inspector :is(img, script):not(.avatar img)").count()).toBe(0);
  expect(terminal.typed).toBe("");
  expect(dialogs).toEqual([]);
});

test("no string becomes markup but by the sanitiser", async () => {
  const page = await onSession(on);
  const refused = await page.evaluate(() => {
    try {
      document.createElement("div").innerHTML = "<b>x</b>";
      return false;
    } catch {
      return true;
    }
  });
  expect(refused).toBe(true);
  expect(on.problems.splice(0)).toEqual([expect.stringContaining("requires 'TrustedHTML'")]);
});
