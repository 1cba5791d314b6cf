/** `npm run dev` without a Worker: the development peer answers beside Vite. */
import type { Plugin } from "vite";

import { populated } from "./world.ts";

export function peerPlugin(): Plugin {
  return {
    name: "development-peer",
    apply: "serve",
    configureServer(server) {
      if (process.env["VITEST"]) return;
      const peer = populated(Date.now());
      server.middlewares.use((request, response, next) => {
        if (!peer.handle(request, response)) next();
      });
      server.httpServer?.on("upgrade", (request, socket, head) => void peer.upgrade(request, socket, head));
    },
  };
}
