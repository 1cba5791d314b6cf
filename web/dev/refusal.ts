/** How the development peer says yes and no. */
import type { ServerResponse } from "node:http";

export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function reply(response: ServerResponse, status: number, body?: object): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(body && JSON.stringify(body));
}
