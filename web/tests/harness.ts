/** A browser in front of the built client and the development peer. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";
import { afterAll, beforeAll, expect } from "vitest";

import { ADA, REPOSITORIES } from "../dev/people.ts";
import { Peer, serve } from "../dev/peer.ts";
import type { PlayedSession } from "../dev/played-session.ts";
import type { Person } from "../ui/src/protocol.ts";

const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const CHROMIUM = process.env["CHROMIUM_BIN"] ?? "/usr/bin/chromium";

let browser: Browser;

export function useBrowser(): void {
  beforeAll(async () => {
    if (!existsSync(`${DIST}/index.html`)) throw new Error("web/dist is missing: run `npm run build` first");
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  });
  afterAll(() => browser?.close());
}

export interface Stage {
  readonly peer: Peer;
  readonly url: string;
  /** A page of its own browser profile, signed in. */
  open(path: string, options?: BrowserContextOptions & { as?: Person }): Promise<Page>;
  close(): Promise<void>;
}

/** `problems` collects what a page complains about: errors, and breaches of the policy. */
export async function stage(peer = emptyPeer()): Promise<Stage & { problems: string[] }> {
  const served = await serve(peer, DIST);
  const problems: string[] = [];
  const opened: Page[] = [];
  return {
    peer,
    url: served.url,
    problems,
    async open(path, { as, ...options } = {}) {
      const context = await browser.newContext(options);
      context.setDefaultTimeout(10_000);
      const page = await context.newPage();
      opened.push(page);
      page.on("pageerror", (error) => problems.push(String(error)));
      page.on("console", (message) => {
        const text = message.text();
        // A connection that a test breaks is reported by the browser itself.
        if (message.type() === "error" && !/WebSocket connection|Failed to load resource/.test(text)) problems.push(text);
      });
      peer.next = as ?? ADA;
      await page.goto(`${served.url}/auth/github/login?return_to=${encodeURIComponent(path)}`);
      return page;
    },
    async close() {
      await Promise.all(opened.map((page) => page.context().close()));
      await served.close();
      expect(problems).toEqual([]);
    },
  };
}

export function emptyPeer(): Peer {
  const peer = new Peer(ADA);
  peer.repositories = REPOSITORIES;
  return peer;
}

/** A session that waits for its first prompt. */
export function addSession(peer: Peer, id = "ses_1"): PlayedSession {
  const now = Date.now();
  return peer.add({
    id,
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
}

/** The session's page, once it shows the log. */
export async function onSession(stage: Stage, options?: Parameters<Stage["open"]>[1]): Promise<Page> {
  const page = await stage.open("/sessions/ses_1", options);
  await page.getByRole("log").waitFor();
  return page;
}
