/**
 * What a page knows about one session, and the proof that it missed nothing.
 *
 * Frames go in; the answer says whether the stream must be asked for again from the last good
 * place. Events count once, by `seq`, in order. What is held is one unbroken stretch of the log,
 * from `oldest` to `since`: pages of older events must end where it begins. No I/O: `client.ts`
 * connects this to a socket.
 */
import { batch, createSignal, type Accessor } from "solid-js";

import { beginning } from "./history.ts";
import { Outbox } from "./outbox.ts";
import type { Event, Participant, Person, Seq, ServerFrame, SessionSummary } from "./protocol.ts";
import { Timeline } from "./timeline.ts";

/** `resubscribe`: something is missing. `restart`: asking again did not help, so connect anew. */
export type Verdict = "ok" | "resubscribe" | "restart";

/** `more`: it fits, and nothing can be shown of it before still older events are here. */
export type Fit = "ok" | "more" | "misfit";

/** How often one place is asked for again on the same socket. */
const MAX_RESUBSCRIPTIONS = 2;

export interface Complaint {
  readonly code: string;
  readonly message: string;
}

export class SessionStore {
  readonly outbox: Outbox;

  readonly #timeline = createSignal(new Timeline());
  readonly #summary = createSignal<SessionSummary | undefined>();
  readonly #participants = createSignal<readonly Participant[]>([]);
  readonly #synced = createSignal(false);
  readonly #past = createSignal<readonly Timeline[]>([]);
  readonly #complete = createSignal(true);

  readonly timeline: Accessor<Timeline> = this.#timeline[0];
  /** As the server last told on connecting; `timeline()` is newer where both know. */
  readonly summary: Accessor<SessionSummary | undefined> = this.#summary[0];
  readonly participants: Accessor<readonly Participant[]> = this.#participants[0];
  /** Everything up to what the server had on connecting is here. */
  readonly synced: Accessor<boolean> = this.#synced[0];

  /** Older pieces of the log, oldest first, each folded by itself; `timeline` follows on them. */
  readonly past: Accessor<readonly Timeline[]> = this.#past[0];
  /** Nothing older is left on the server. */
  readonly complete: Accessor<boolean> = this.#complete[0];

  /** Held, older than what is folded, and no piece yet. */
  #ahead: readonly Event[] = [];
  #first: Seq = 1;
  #last: Seq = 0;
  #head: Seq = 0;
  /** Between asking again and the welcome, frames of the old subscription may not fit. */
  #awaitingWelcome = true;
  #resubscriptions = 0;
  /** An event that did not fit twice is taken as it is: a page that stands still helps nobody. */
  #misfit: Seq | undefined;

  readonly #listeners: {
    typing(person: Person): void;
    complaint(complaint: Complaint): void;
  };

  constructor(me: Person, listeners: { typing(person: Person): void; complaint(complaint: Complaint): void }) {
    this.outbox = new Outbox(me);
    this.#listeners = listeners;
  }

  /** Where the next subscription starts. */
  get since(): Seq {
    return this.#last;
  }

  /** Everything before this is still to be asked for. */
  get oldest(): Seq {
    return this.#ahead[0]?.seq ?? this.#first;
  }

  /**
   * The end of the log, before anything else. Until it fits, the next call brings what is older.
   */
  open(events: readonly Event[]): Fit {
    if (this.#last > 0) return "misfit";
    const held = this.#older(events);
    if (!held) return "misfit";
    const from = beginning(held);
    if (from === undefined) {
      this.#ahead = held;
      return "more";
    }
    batch(() => {
      this.#ahead = held.slice(0, from);
      this.#begins(held[from]?.seq ?? 1);
      for (const event of held.slice(from)) {
        this.timeline().apply(event);
        this.#last = event.seq;
      }
    });
    return "ok";
  }

  /** Without its end after all: the log is to come from its beginning. */
  openWhole(): void {
    if (this.#last === 0) this.#forget();
  }

  /** The page that ends before `oldest`. */
  prepend(events: readonly Event[]): Fit {
    const held = this.#older(events);
    if (!held) return "misfit";
    const from = beginning(held);
    if (from === undefined) {
      this.#ahead = held;
      return "more";
    }
    const piece = new Timeline();
    for (const event of held.slice(from)) piece.apply(event);
    batch(() => {
      this.#ahead = held.slice(0, from);
      this.#begins(held[from]?.seq ?? 1);
      this.#past[1]((past) => [piece, ...past]);
    });
    return "ok";
  }

  /** These and what is held before the fold, if they meet and have no gap. */
  #older(events: readonly Event[]): readonly Event[] | undefined {
    const next = this.#ahead[0]?.seq ?? (this.#last > 0 ? this.#first : undefined);
    const whole = events.every((event, index) => index === 0 || event.seq === (events[index - 1]?.seq ?? 0) + 1);
    const meets = next === undefined || events.at(-1)?.seq === next - 1;
    return whole && meets && events.length > 0 ? [...events, ...this.#ahead] : undefined;
  }

  #begins(seq: Seq): void {
    this.#first = seq;
    this.#complete[1](seq === 1);
  }

  /** A new socket, or a new subscription on the old one. */
  subscribing(): void {
    this.#awaitingWelcome = true;
    this.#synced[1](false);
  }

  receive(frame: ServerFrame): Verdict {
    return batch(() => this.#receive(frame));
  }

  #receive(frame: ServerFrame): Verdict {
    switch (frame.type) {
      case "welcome":
        return this.#welcome(frame);
      case "events":
        return this.#events(frame.events);
      case "delta":
        if (this.timeline().delta(frame.part, frame.offset, frame.text)) return "ok";
        return this.#missing();
      case "presence":
        this.#participants[1](frame.participants);
        return "ok";
      case "typing":
        this.#listeners.typing(frame.person);
        return "ok";
      case "error":
        if (frame.code === "unknown_seq" && this.#awaitingWelcome) {
          this.#forget();
          return "resubscribe";
        }
        if (frame.client_request_id === undefined || !this.outbox.refuse(frame.client_request_id, frame.message)) {
          this.#listeners.complaint(frame);
        }
        return "ok";
      default:
        return "ok";
    }
  }

  #welcome(frame: Extract<ServerFrame, { type: "welcome" }>): Verdict {
    this.#awaitingWelcome = false;
    this.#head = frame.head_seq;
    this.#summary[1](frame.session);
    this.#participants[1](frame.participants);
    if (!this.complete()) this.timeline().seed(frame.session, frame.queue);
    this.timeline().seedPullRequests(frame.session.pull_requests);
    return this.#last >= this.#head && !this.#arrived() ? "resubscribe" : "ok";
  }

  /** Everything up to the welcome is here; false when the stretch that is held does not explain it. */
  #arrived(): boolean {
    const summary = this.summary();
    const explained =
      this.complete() ||
      !summary ||
      ((summary.state !== "working" || this.timeline().state() !== "idle") &&
        (!summary.paused || this.timeline().paused() !== undefined));
    if (explained) this.#synced[1](true);
    else this.#forget();
    return explained;
  }

  #events(events: readonly Event[]): Verdict {
    for (const event of events) {
      if (event.seq <= this.#last) continue;
      if (event.seq !== this.#last + 1) return this.#missing();
      const timeline = this.timeline();
      if (!timeline.apply(event) && event.type === "part_finished") {
        if (this.#misfit !== event.seq) {
          this.#misfit = event.seq;
          return this.#missing();
        }
        timeline.settle(event);
      }
      if (event.type === "prompt_queued") this.outbox.confirm(event.prompt);
      this.#last = event.seq;
      this.#resubscriptions = 0;
    }
    if (this.#awaitingWelcome || this.#last < this.#head || this.synced()) return "ok";
    return this.#arrived() ? "ok" : "resubscribe";
  }

  /** To start over, from the log's beginning: it is another log, or its end alone does not do. */
  #forget(): void {
    this.#timeline[1](new Timeline());
    this.#past[1]([]);
    this.#complete[1](true);
    this.#ahead = [];
    this.#first = 1;
    this.#last = 0;
    this.#misfit = undefined;
  }

  #missing(): Verdict {
    if (this.#awaitingWelcome) return "ok";
    this.#resubscriptions += 1;
    if (this.#resubscriptions <= MAX_RESUBSCRIPTIONS) return "resubscribe";
    this.#resubscriptions = 0;
    return "restart";
  }
}
