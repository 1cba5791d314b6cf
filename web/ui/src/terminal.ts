/**
 * The connection to a session's terminal: several look on, one types.
 *
 * It is kept up while somebody looks, but never wakes a sandbox: where there is none it stops, and
 * tries again only when asked to. Bytes go through as they are; what they mean is the screen's.
 */
import type { Person, TerminalNotice, TerminalRequest, TerminalTicket } from "./protocol.ts";

export const TERMINAL_SUBPROTOCOL = "v1.terminal";

/** `terminal::MAX_TERMINAL_INPUT`, with room to spare. */
const MAX_INPUT = 32 * 1024;
const PING_MS = 25_000;
const PONG_MS = 10_000;
const FIRST_WAIT_MS = 500;
const MAX_TRIES = 6;

/** The server's word for "there is nothing to connect to": another try would say the same. */
const ABSENT = "no_sandbox";

export type TerminalState =
  | { readonly phase: "connecting" }
  | { readonly phase: "live"; readonly viewers: readonly Person[]; readonly controller: Person | undefined; readonly yours: boolean }
  | { readonly phase: "reconnecting" }
  /** There is no sandbox. */
  | { readonly phase: "asleep"; readonly message: string }
  | { readonly phase: "ended"; readonly code: number | undefined }
  | { readonly phase: "failed"; readonly message: string };

export interface TerminalPorts {
  ticket(): Promise<TerminalTicket>;
  open(ticket: TerminalTicket): WebSocket;
  /** Whether a failed request for a ticket can only fail again, and why. */
  refusal(error: unknown): { readonly asleep: boolean; readonly message: string } | undefined;
}

export interface TerminalListener {
  state(state: TerminalState): void;
  /** Begins anew: recent output follows. */
  reset(): void;
  window(columns: number, rows: number): void;
  output(bytes: Uint8Array): void;
  /** What the server objects to, without breaking off. */
  complaint(message: string): void;
}

type Timer = ReturnType<typeof setTimeout>;

export class TerminalConnection {
  readonly #ports: TerminalPorts;
  readonly #listener: TerminalListener;
  #socket: WebSocket | undefined;
  #generation = 0;
  #tries = 0;
  #retry: Timer | undefined;
  #ping: Timer | undefined;
  #deadline: Timer | undefined;
  #started = false;
  #yours = false;

  constructor(ports: TerminalPorts, listener: TerminalListener) {
    this.#ports = ports;
    this.#listener = listener;
  }

  /** At first, and again after it has stopped. */
  connect(): void {
    this.#tries = 0;
    this.#listener.state({ phase: "connecting" });
    void this.#connect();
  }

  close(): void {
    this.#drop();
  }

  send(request: TerminalRequest): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(request));
  }

  /** Goes nowhere without control, as the server would not take it. */
  type(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.#yours || this.#socket?.readyState !== WebSocket.OPEN) return;
    for (let at = 0; at < bytes.length; at += MAX_INPUT) this.#socket.send(bytes.subarray(at, at + MAX_INPUT));
  }

  async #connect(): Promise<void> {
    this.#drop();
    const generation = this.#generation;
    const current = () => generation === this.#generation;
    let ticket: TerminalTicket;
    try {
      ticket = await this.#ports.ticket();
    } catch (error) {
      if (!current()) return;
      const refusal = this.#ports.refusal(error);
      if (refusal) this.#stop({ phase: refusal.asleep ? "asleep" : "failed", message: refusal.message });
      else this.#lost();
      return;
    }
    if (!current()) return;
    const socket = this.#ports.open(ticket);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#started = false;
    socket.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (!current()) return;
      this.#watch();
      if (data instanceof ArrayBuffer) this.#listener.output(new Uint8Array(data));
      else this.#notice(parse(data));
    };
    socket.onclose = () => current() && this.#lost();
  }

  #notice(notice: TerminalNotice | undefined): void {
    switch (notice?.type) {
      case "state": {
        const { viewers, controller, yours } = notice;
        if (!this.#started) {
          this.#started = true;
          this.#tries = 0;
          this.#listener.reset();
        }
        this.#yours = yours;
        this.#listener.window(notice.columns, notice.rows);
        return this.#listener.state({ phase: "live", viewers, controller, yours });
      }
      case "ended":
        return this.#stop({ phase: "ended", code: notice.code });
      case "error":
        if (notice.code === ABSENT) return this.#stop({ phase: "asleep", message: notice.message });
        return this.#listener.complaint(notice.message);
      default:
        return undefined;
    }
  }

  #watch(): void {
    clearTimeout(this.#ping);
    clearTimeout(this.#deadline);
    this.#ping = setTimeout(() => {
      this.send({ type: "ping" });
      this.#deadline = setTimeout(() => this.#lost(), PONG_MS);
    }, PING_MS);
  }

  #lost(): void {
    this.#drop();
    this.#tries += 1;
    if (this.#tries > MAX_TRIES) {
      return this.#stop({ phase: "failed", message: "The terminal cannot be reached." });
    }
    this.#listener.state({ phase: "reconnecting" });
    this.#retry = setTimeout(() => void this.#connect(), FIRST_WAIT_MS * 2 ** (this.#tries - 1));
  }

  #stop(state: TerminalState): void {
    this.#drop();
    this.#listener.state(state);
  }

  #drop(): void {
    this.#generation += 1;
    this.#yours = false;
    clearTimeout(this.#retry);
    clearTimeout(this.#ping);
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}

function parse(data: unknown): TerminalNotice | undefined {
  try {
    const value: unknown = JSON.parse(String(data));
    return typeof value === "object" && value !== null && "type" in value ? (value as TerminalNotice) : undefined;
  } catch {
    return undefined;
  }
}
