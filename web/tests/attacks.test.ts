/** Whatever the agent, a repository or a person writes stays text: nothing runs, nothing is fetched. */
import { afterEach, beforeEach, expect, test } from "vitest";

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
  expect(attributes.filter((name) => !["class", "href", "target", "rel", "tabindex", "start", "align"].includes(name))).toEqual([]);
  const targets = await page.locator("a").evaluateAll((links) => links.map((link) => link.getAttribute("href") ?? ""));
  expect(targets.filter((target) => target && !/^(?:https:|\/)/.test(target))).toEqual([]);
  expect(asked.filter((url) => !url.startsWith(on.url))).toEqual([]);
  // It can be read, all the same.
  expect(await answer.innerText()).toContain("<script>window.owned = 1</script>");
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
