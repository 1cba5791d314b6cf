/**
 * One connection to one session, or to the lobby, that is always being kept up.
 *
 * A ticket, then a socket, then frames; whatever ends it leads to another try after a growing,
 * jittered wait, or at once when the network or the page comes back. A connection counts as live
 * only after the server's `welcome`, and as dead when a `ping` stays unanswered: a socket that
 * silently lost its peer never says so itself. Knows nothing of what the frames mean.
 */
import type { ClientFrame, ServerFrame } from "./protocol.ts";

export const SUBPROTOCOL = "v1.agent";

const PING_MS = 25_000;
const PONG_MS = 10_000;
/** From asking for a ticket to the welcome. */
const OPEN_MS = 15_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** The part of a `WebSocket` that is used here. */
export interface SocketLike {
  onopen: ((event: Event) => unknown) | null;
  onmessage: ((event: MessageEvent<unknown>) => unknown) | null;
  onclose: ((event: CloseEvent) => unknown) | null;
  send(text: string): void;
  close(): void;
}

export interface Ports {
  /** A one-time ticket. A rejection with `Refused` ends all trying. */
  ticket(): Promise<string>;
  open(ticket: string): SocketLike;
  /** 0 to 1. */
  random(): number;
  /** What is sent to find out whether the peer is there; a `ping` frame if absent. */
  readonly ping?: string;
  /** For a socket without a `welcome`: it is live as soon as it is open. */
  readonly liveWhenOpen?: boolean;
}

/** The session is not there for this person: trying again would not help. */
export class Refused extends Error {}

export type Link =
  | { readonly phase: "connecting" }
  | { readonly phase: "live" }
  /** `attempt` counts from 1; the socket is down and another try is due or under way. */
  | { readonly phase: "reconnecting"; readonly attempt: number }
  | { readonly phase: "refused"; readonly message: string }
  | { readonly phase: "closed" };

/** Frames are tagged by `type`, whatever else they are. */
interface Tagged {
  readonly type: string;
}

export interface Listener<Frame extends Tagged = ServerFrame> {
  /** The socket is open: subscribe now. */
  opened(): void;
  frame(frame: Frame): void;
  link(link: Link): void;
}

type Timer = ReturnType<typeof setTimeout>;

export class Connection<Frame extends Tagged = ServerFrame> {
  readonly #ports: Ports;
  readonly #listener: Listener<Frame>;
  #link: Link = { phase: "connecting" };
  #socket: SocketLike | undefined;
  #attempt = 0;
  /** Names the current try, so that what an earlier one still says is ignored. */
  #generation = 0;
  #retry: Timer | undefined;
  #deadline: Timer | undefined;
  #ping: Timer | undefined;

  constructor(ports: Ports, listener: Listener<Frame>) {
    this.#ports = ports;
    this.#listener = listener;
  }

  start(): void {
    void this.#connect();
  }

  /** False when there is no open socket. */
  send(frame: ClientFrame): boolean {
    if (!this.#socket || this.#link.phase !== "live") return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** The first frame on a new socket, before it counts as live. */
  subscribe(since: number): void {
    const frame: ClientFrame = { type: "subscribe", since };
    this.#socket?.send(JSON.stringify(frame));
  }

  /** The network or the page came back: try at once, or find out whether the socket still lives. */
  wake(): void {
    if (this.#link.phase === "live") this.#sendPing();
    else if (this.#retry !== undefined) void this.#connect();
  }

  /** Drops the socket and connects again after a wait. */
  restart(): void {
    if (this.#link.phase !== "closed" && this.#link.phase !== "refused") this.#lost();
  }

  close(): void {
    this.#drop();
    this.#to({ phase: "closed" });
  }

  async #connect(): Promise<void> {
    this.#drop();
    const generation = this.#generation;
    const current = () => generation === this.#generation;
    this.#deadline = setTimeout(() => this.#lost(), OPEN_MS);
    let ticket: string;
    try {
      ticket = await this.#ports.ticket();
    } catch (error) {
      if (!current()) return;
      if (error instanceof Refused) {
        this.#drop();
        this.#to({ phase: "refused", message: error.message });
      } else {
        this.#lost();
      }
      return;
    }
    if (!current()) return;
    const socket = this.#ports.open(ticket);
    this.#socket = socket;
    socket.onopen = () => {
      if (!current()) return;
      if (this.#ports.liveWhenOpen) this.#live();
      this.#listener.opened();
    };
    socket.onmessage = (event) => current() && this.#receive(event.data);
    socket.onclose = () => current() && this.#lost();
  }

  #receive(data: unknown): void {
    const frame = parseFrame<Frame>(data);
    if (!frame) return;
    // Any frame proves that the peer is there.
    if (this.#link.phase === "live") this.#watch();
    if (frame.type === "welcome" && this.#link.phase !== "live") this.#live();
    this.#listener.frame(frame);
  }

  #live(): void {
    this.#attempt = 0;
    this.#watch();
    this.#to({ phase: "live" });
  }

  /** Starts the wait for the next ping anew. */
  #watch(): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#ping);
    this.#deadline = undefined;
    this.#ping = setTimeout(() => this.#sendPing(), PING_MS);
  }

  #sendPing(): void {
    clearTimeout(this.#ping);
    if (!this.#socket || this.#link.phase !== "live") return;
    this.#socket.send(this.#ports.ping ?? JSON.stringify({ type: "ping" }));
    this.#deadline ??= setTimeout(() => this.#lost(), PONG_MS);
  }

  #lost(): void {
    this.#drop();
    this.#attempt += 1;
    const ceiling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.#attempt - 1));
    // Between half and all of it, so that a restarted server does not meet everybody at once.
    const wait = ceiling * (0.5 + this.#ports.random() / 2);
    this.#retry = setTimeout(() => void this.#connect(), wait);
    this.#to({ phase: "reconnecting", attempt: this.#attempt });
  }

  #drop(): void {
    this.#generation += 1;
    clearTimeout(this.#retry);
    clearTimeout(this.#deadline);
    clearTimeout(this.#ping);
    this.#retry = this.#deadline = this.#ping = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #to(link: Link): void {
    this.#link = link;
    this.#listener.link(link);
  }
}

/** A tagged object or nothing: what a newer server adds is for `store.ts` to ignore. */
function parseFrame<Frame extends Tagged>(data: unknown): Frame | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const value: unknown = JSON.parse(data);
    const tagged = typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
    return tagged ? (value as unknown as Frame) : undefined;
  } catch {
    return undefined;
  }
}
