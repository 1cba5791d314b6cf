import { fileURLToPath } from "node:url";

import solid from "vite-plugin-solid";
import { defineConfig } from "vitest/config";

import { peerPlugin } from "./dev/plugin.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Where the API is; without it, `npm run dev` plays recorded sessions itself. */
const api = process.env["API_URL"];

export default defineConfig({
  root: here("./app"),
  // The compiler's helpers come through a module of ours, which makes templates Trusted Types.
  plugins: [solid({ solid: { moduleName: "#ui/dom.ts" } }), ...(api ? [] : [peerPlugin()])],
  server: {
    host: "127.0.0.1",
    ...(api && {
      proxy: {
        "/api": { target: api, ws: true, changeOrigin: false },
        "/auth": { target: api, changeOrigin: false },
      },
    }),
  },
  build: {
    outDir: here("./dist"),
    emptyOutDir: true,
    target: "es2022",
    // The oldest that know `light-dark()`, which would otherwise be written out for older ones.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // The Content-Security-Policy allows files only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  test: {
    environment: "node",
    projects: [
      {
        extends: true,
        test: { name: "unit", root: here("."), include: ["ui/src/**/*.test.ts", "app/src/**/*.test.ts"] },
      },
      // These drive a browser from Node, so nothing here is resolved as for a browser.
      {
        test: {
          name: "browser",
          root: here("."),
          include: ["tests/**/*.test.ts"],
          environment: "node",
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
