/**
 * What a page knows about one session, and the proof that it missed nothing.
 *
 * Frames go in; the answer says whether the stream must be asked for again from the last good
 * place. Events count once, by `seq`, in order. No I/O: `client.ts` connects this to a socket.
 */
import { batch, createSignal, type Accessor } from "solid-js";

import { Outbox } from "./outbox.ts";
import type { Event, Participant, Person, Seq, ServerFrame, SessionSummary } from "./protocol.ts";
import { Timeline } from "./timeline.ts";

/** `resubscribe`: something is missing. `restart`: asking again did not help, so connect anew. */
export type Verdict = "ok" | "resubscribe" | "restart";

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

  readonly timeline: Accessor<Timeline> = this.#timeline[0];
  /** As the server last told on connecting; `timeline()` is newer where both know. */
  readonly summary: Accessor<SessionSummary | undefined> = this.#summary[0];
  readonly participants: Accessor<readonly Participant[]> = this.#participants[0];
  /** Everything up to what the server had on connecting is here. */
  readonly synced: Accessor<boolean> = this.#synced[0];

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
        this.#welcome(frame);
        return "ok";
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

  #welcome(frame: Extract<ServerFrame, { type: "welcome" }>): void {
    this.#awaitingWelcome = false;
    this.#head = frame.head_seq;
    this.#summary[1](frame.session);
    this.#participants[1](frame.participants);
    this.#synced[1](this.#last >= this.#head);
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
    if (!this.#awaitingWelcome && this.#last >= this.#head) this.#synced[1](true);
    return "ok";
  }

  /** The server's log is shorter than ours, so it is another log: start over with it. */
  #forget(): void {
    this.#timeline[1](new Timeline());
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
