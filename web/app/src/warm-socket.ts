/** Follows a session that has no prompt yet, for what its log says of the sandbox. */
import { createSignal, onCleanup, type Accessor } from "solid-js";

import type { SessionId } from "#ui/protocol.ts";
import { Connection, SUBPROTOCOL } from "#ui/socket.ts";

import { api, socketPath } from "./api.ts";
import { COLD, warmer, type Warmth } from "./warmth.ts";

/** How often the session is told that somebody writes, which keeps or wakes its sandbox. */
const TYPING_MS = 2_000;

export interface WarmSocket {
  readonly warmth: Accessor<Warmth>;
  typed(): void;
}

/** Lives as long as the owner that calls it. */
export function createWarmSocket(id: SessionId): WarmSocket {
  const [warmth, setWarmth] = createSignal<Warmth>(COLD);
  let last = 0;
  let typedAt = 0;
  const connection = new Connection(
    {
      ticket: () => api.ticket(id),
      open(ticket) {
        const url = new URL(socketPath(id), location.href);
        url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
        return new WebSocket(url, [SUBPROTOCOL, `ticket.${ticket}`]);
      },
      random: Math.random,
    },
    {
      opened: () => connection.subscribe(last),
      frame(frame) {
        if (frame.type !== "events") return;
        for (const event of frame.events) {
          if (event.seq <= last) continue;
          last = event.seq;
          setWarmth((before) => warmer(before, event));
        }
      },
      link: () => undefined,
    },
  );
  connection.start();
  onCleanup(() => connection.close());
  return {
    warmth,
    typed() {
      const now = Date.now();
      if (now - typedAt >= TYPING_MS && connection.send({ type: "typing" })) typedAt = now;
    },
  };
}
