/**
 * Figures of the client in Chromium, as one line of JSON: `node tests/bench/run.ts`.
 *
 * `render_frame_p95`: milliseconds of the main thread's own time for script, style and layout of a
 * frame in which text arrives, with 200 kB of it on the page; the baseline is re-rendering all of it
 * through `react-markdown`. Of three rounds the best counts: what else the machine does is not ours.
 * `first_load_js`:
 * kilobytes of compressed JavaScript before a panel is opened; the baseline is the other page's.
 * `web/dist` has to be built. BENCH_ROUNDS makes so many frames instead.
 */
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { chromium, type Browser } from "playwright-core";
import { build } from "vite";
import solid from "vite-plugin-solid";

import { firstLoad } from "../first-load.ts";
import { HELD, PIECE, text, type Measured } from "./page/text.ts";
import { Trace } from "./trace.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const frames = Number(process.env["BENCH_ROUNDS"] ?? 300);
const ROUNDS = 3;
/** Each takes a second. */
const peerFrames = Math.min(frames, 20);

const TYPES: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

const out = await mkdtemp(join(tmpdir(), "client-bench-"));
const browser = await chromium.launch({
  executablePath: process.env["CHROMIUM_BIN"] ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
try {
  await build({
    configFile: false,
    root: here("./page"),
    logLevel: "error",
    plugins: [solid({ solid: { moduleName: "#ui/dom.ts" } })],
    build: {
      outDir: out,
      target: "es2022",
      cssTarget: ["chrome123", "firefox120", "safari17.5"],
      rolldownOptions: { input: [here("./page/ours.html"), here("./page/peer.html")] },
    },
  });
  const served = await files(out);
  const ours: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    ours.push(p95(await work(browser, `${served.url}/ours.html`, frames)));
  }
  const peer = p95(await work(browser, `${served.url}/peer.html`, peerFrames));
  served.close();
  const loaded = await firstLoad(browser, here("../../dist"));
  const first = [...loaded.values()].reduce((sum, bytes) => sum + bytes, 0);
  const result = {
    render_frame_p95: { value: Math.min(...ours), baseline: peer, runs: frames },
    first_load_js: { value: first / 1024, baseline: (await peerBytes(out)) / 1024, runs: 1 },
  };
  console.log(JSON.stringify(result));
} finally {
  await browser.close();
  await rm(out, { recursive: true, force: true });
}

/** Milliseconds of work for each of `count` frames. */
async function work(browser: Browser, url: string, count: number): Promise<number[]> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(url);
  await page.waitForFunction(() => "measured" in window);
  const all = text(HELD + count * PIECE);
  await page.evaluate((held) => (window as unknown as { measured: Measured }).measured.hold(held), all.slice(0, HELD));
  const trace = await Trace.start(page);
  await page.evaluate(
    async ({ rest, size }) => {
      const { measured } = window as unknown as { measured: Measured };
      for (let at = 0; at < rest.length; at += size) {
        performance.mark("piece");
        await measured.add(rest.slice(at, at + size));
      }
      performance.mark("piece");
    },
    { rest: all.slice(HELD), size: PIECE },
  );
  const taken = await trace.end();
  if (taken.length !== count) throw new Error(`${taken.length} frames were traced of ${count}`);
  const shown = await page.evaluate(() => (window as unknown as { measured: Measured }).measured.shown());
  // Markdown's own characters are not shown; far fewer letters would mean that text is missing.
  if (shown < all.length * 0.8) throw new Error(`${url} shows ${shown} letters of ${all.length}`);
  await page.close();
  return taken;
}

function p95(taken: readonly number[]): number {
  const sorted = [...taken].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length * 0.95)] ?? 0;
}

/** What the other page loads. */
async function peerBytes(folder: string): Promise<number> {
  const page = await readFile(join(folder, "peer.html"), "utf8");
  const assets = await readdir(join(folder, "assets"));
  const loaded = assets.filter((name) => name.endsWith(".js") && page.includes(name));
  const bodies = await Promise.all(loaded.map((name) => readFile(join(folder, "assets", name))));
  return bodies.reduce((sum, body) => sum + gzipSync(body, { level: 9 }).length, 0);
}

async function files(folder: string): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://files").pathname;
    readFile(join(folder, path)).then(
      (body) => response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/plain" }).end(body),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
}
