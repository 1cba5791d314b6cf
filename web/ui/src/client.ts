/**
 * A session as a page uses it: the store, fed by a connection, and what a person may send.
 */
import { createSignal, onCleanup, type Accessor } from "solid-js";

import { promptFrame, requestId } from "./outbox.ts";
import type { Artifact, EventPage, Mode, Person, Seq, ServerFrame } from "./protocol.ts";
import { Connection, SUBPROTOCOL, type Link, type Ports } from "./socket.ts";
import { SessionStore, type Complaint, type Fit } from "./store.ts";

/** How long "is typing" shows after the last sign, and how often we give one. */
const TYPING_SHOWN_MS = 4_000;
const TYPING_SENT_MS = 2_000;

/** Beyond every log. */
const END: Seq = 2 ** 53 - 1;
/** Pages of a log's end that are looked at for a place to begin; then it comes as a whole. */
const OPENING_PAGES = 3;

/** Older events: `failed` until somebody tries again. */
export type Past = "idle" | "loading" | "failed";

export interface SessionClient {
  readonly store: SessionStore;
  readonly link: Accessor<Link>;
  readonly typing: Accessor<readonly Person[]>;
  readonly past: Accessor<Past>;
  /** Brings the piece of the log before what is held. */
  loadPast(): void;
  send(text: string, mode: Mode, attachments?: readonly Artifact[]): void;
  /** Sends a refused prompt again, as a new request. */
  resend(id: string): void;
  typed(): void;
}

/** Lives as long as the component that calls it. */
export function createSessionClient(options: {
  me: Person;
  /** Path of the session's socket. */
  path: string;
  ticket: Ports["ticket"];
  /** The last events before one. */
  page(before: Seq): Promise<EventPage>;
  complaint(complaint: Complaint): void;
}): SessionClient {
  const [link, setLink] = createSignal<Link>({ phase: "connecting" });
  const [typing, setTyping] = createSignal<readonly Person[]>([]);
  const typingTimers = new Map<number, ReturnType<typeof setTimeout>>();

  const showTyping = (person: Person) => {
    if (person.id === options.me.id) return;
    clearTimeout(typingTimers.get(person.id));
    setTyping((people) => [...people.filter((other) => other.id !== person.id), person]);
    const hide = () => setTyping((people) => people.filter((other) => other.id !== person.id));
    typingTimers.set(person.id, setTimeout(hide, TYPING_SHOWN_MS));
  };

  const store = new SessionStore(options.me, { typing: showTyping, complaint: options.complaint });

  const subscribe = () => {
    store.subscribing();
    connection.subscribe(store.since);
  };

  // The end of the log comes beside the connection's own way, which is not shorter.
  const openEnd = async () => {
    try {
      for (let pages = 0; pages < OPENING_PAGES; pages += 1) {
        const { events } = await options.page(pages === 0 ? END : store.oldest);
        const fit = store.open(events);
        if (fit === "ok") return;
        if (fit === "misfit") break;
      }
    } catch {
      // Whatever is wrong, the connection tells better.
    }
    store.openWhole();
  };
  const opened = openEnd();
  let sockets = 0;
  const socketOpened = async () => {
    sockets += 1;
    const mine = sockets;
    await opened;
    if (mine === sockets) subscribe();
  };

  const [past, setPast] = createSignal<Past>("idle");
  const loadPast = async () => {
    if (past() === "loading" || store.complete()) return;
    setPast("loading");
    try {
      let fit: Fit = "more";
      while (fit === "more") fit = store.prepend((await options.page(store.oldest)).events);
      // Only another log than ours does not meet it: the connection finds out.
      setPast(fit === "ok" ? "idle" : "failed");
    } catch {
      setPast("failed");
    }
  };

  const receive = (frame: ServerFrame) => {
    const wasSynced = store.synced();
    const verdict = store.receive(frame);
    if (verdict === "resubscribe") subscribe();
    else if (verdict === "restart") connection.restart();
    // Only now is it known which of the waiting prompts the log lacks.
    if (wasSynced || !store.synced()) return;
    for (const waiting of store.outbox.frames()) connection.send(waiting);
    if (document.visibilityState === "hidden") connection.send({ type: "presence", active: false });
  };

  const connection = new Connection(
    {
      ticket: options.ticket,
      open(ticket) {
        const url = new URL(options.path, location.href);
        url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
        return new WebSocket(url, [SUBPROTOCOL, `ticket.${ticket}`]);
      },
      random: Math.random,
    },
    { opened: () => void socketOpened(), frame: receive, link: setLink },
  );

  const wake = () => connection.wake();
  const visibility = () => {
    const active = document.visibilityState === "visible";
    if (active) wake();
    connection.send({ type: "presence", active });
  };
  window.addEventListener("online", wake);
  document.addEventListener("visibilitychange", visibility);
  connection.start();
  onCleanup(() => {
    window.removeEventListener("online", wake);
    document.removeEventListener("visibilitychange", visibility);
    for (const timer of typingTimers.values()) clearTimeout(timer);
    connection.close();
  });

  let typedAt = 0;
  const send = (text: string, mode: Mode, attachments: readonly Artifact[] = []) => {
    const item = store.outbox.add(requestId(), text, mode, attachments);
    if (store.synced()) connection.send(promptFrame(item));
  };

  return {
    store,
    link,
    typing,
    past,
    loadPast: () => void loadPast(),
    send,
    resend(id) {
      const item = store.outbox.items().find((other) => other.id === id);
      if (!item) return;
      store.outbox.remove(id);
      send(item.text, item.mode, item.attachments);
    },
    typed() {
      const now = Date.now();
      if (now - typedAt < TYPING_SENT_MS) return;
      if (connection.send({ type: "typing" })) typedAt = now;
    },
  };
}
