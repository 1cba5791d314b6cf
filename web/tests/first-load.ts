/** What a browser loads of our JavaScript until a session can be read and written to. */
import { gzipSync } from "node:zlib";

import type { Browser } from "playwright-core";

import { ADA } from "../dev/people.ts";
import { Peer, serve } from "../dev/peer.ts";
import { mending, playNow } from "../dev/recording.ts";

/** The most that the session page may load before a panel is opened. */
export const MOST_BYTES = 120 * 1024;

/** Bytes of each file, compressed as a server sends it. */
export async function firstLoad(browser: Browser, dist: string): Promise<Map<string, number>> {
  const peer = new Peer(ADA);
  const now = Date.now();
  const session = peer.add({
    id: "ses_1",
    repository: "acme/semver-lite",
    branch: "main",
    title: "The tests fail",
    state: "idle",
    created_by: ADA,
    created_at: now,
    updated_at: now,
    pull_requests: [],
    paused: false,
  });
  session.prompt(ADA, "Fix it");
  playNow(session, mending(session));
  const served = await serve(peer, dist);
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  const loading: Promise<[string, number]>[] = [];
  page.on("response", (response) => {
    const { pathname } = new URL(response.url());
    if (!pathname.endsWith(".js")) return;
    loading.push(response.body().then((body) => [pathname, gzipSync(body, { level: 9 }).length]));
  });
  await page.goto(`${served.url}/auth/github/login?return_to=/sessions/ses_1`);
  await page.getByText("23 passed, 0 failed").waitFor();
  await page.getByRole("textbox", { name: "Prompt" }).fill("Thanks");
  await page.waitForLoadState("networkidle");
  const loaded = new Map(await Promise.all(loading));
  await context.close();
  await served.close();
  return loaded;
}
