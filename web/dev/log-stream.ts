/** The log of an image as server-sent events, as the Worker tells it: what is there, then what comes. */
import type { ServerResponse } from "node:http";

import type { ImageLog } from "../ui/src/protocol.ts";

export class LogStreams {
  readonly #open = new Map<ServerResponse, () => void>();
  /** Where each stream that was asked for began. */
  readonly begun: number[] = [];

  follow(response: ServerResponse, offset: number, read: (offset: number) => ImageLog): void {
    const last = response.req.headers["last-event-id"];
    let at = last === undefined ? offset : Number(last);
    let log = read(at);
    this.begun.push(at);
    if (last !== undefined && log.complete && log.text === "") {
      response.writeHead(204).end();
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write("retry: 50\n\n");
    const tell = () => {
      log = read(at);
      if (!log.complete && log.next_offset === at) return;
      at = log.next_offset;
      response.write(`id: ${at}\ndata: ${JSON.stringify(log)}\n\n`);
      if (log.complete) response.end();
    };
    this.#open.set(response, tell);
    response.on("close", () => this.#open.delete(response));
    tell();
  }

  changed(): void {
    for (const tell of this.#open.values()) tell();
  }

  /** As when the network goes away. */
  cut(): void {
    for (const response of this.#open.keys()) response.destroy();
  }
}
