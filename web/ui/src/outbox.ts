/**
 * Prompts that were sent and are not in the log yet: shown at once, sent again after a lost
 * connection, never doubled (the server knows each by its `client_request_id`).
 */
import { createSignal, type Accessor } from "solid-js";

import type { Artifact, ClientFrame, Mode, Person, Prompt } from "./protocol.ts";

/** `api::MAX_PROMPT`; a frame holds the longest prompt however it is escaped. */
const MAX_PROMPT_UNITS = 32 * 1024;

export interface Outgoing {
  readonly id: string;
  readonly text: string;
  readonly mode: Mode;
  readonly attachments: readonly Artifact[];
  /** Why the server refused it. */
  readonly refusal: string | undefined;
}

export class Outbox {
  readonly #me: Person;
  readonly #items = createSignal<readonly Outgoing[]>([]);
  readonly items: Accessor<readonly Outgoing[]> = this.#items[0];

  constructor(me: Person) {
    this.#me = me;
  }

  add(id: string, text: string, mode: Mode, attachments: readonly Artifact[] = []): Outgoing {
    const item: Outgoing = { id, text, mode, attachments, refusal: undefined };
    this.#items[1]((items) => [...items, item]);
    return item;
  }

  /** What has to be sent on a new connection. */
  frames(): ClientFrame[] {
    return this.items()
      .filter((item) => item.refusal === undefined)
      .map(promptFrame);
  }

  /** The log has it. A prompt of an older server does not say of which request: author and text tell. */
  confirm(prompt: Prompt): void {
    if (prompt.author.id !== this.#me.id) return;
    const text = prompt.text.trim();
    const request = prompt.client_request_id;
    const found = this.items().find((item) =>
      request === undefined ? item.refusal === undefined && item.text.trim() === text : item.id === request,
    );
    if (found) this.remove(found.id);
  }

  /** False when it is none of ours. */
  refuse(id: string, refusal: string): boolean {
    if (!this.items().some((item) => item.id === id)) return false;
    this.#items[1]((items) => items.map((item) => (item.id === id ? { ...item, refusal } : item)));
    return true;
  }

  remove(id: string): void {
    this.#items[1]((items) => items.filter((item) => item.id !== id));
  }
}

export function promptFrame(item: Outgoing): ClientFrame {
  const { id, text, mode, attachments } = item;
  return {
    type: "prompt",
    text,
    mode,
    client_request_id: id,
    ...(attachments.length > 0 && { attachments: attachments.map((artifact) => artifact.id) }),
  };
}

/** What is wrong with a text as a prompt, in words for its author. */
export function promptProblem(text: string): string | undefined {
  if (text.trim() === "") return "Write something first.";
  if (text.length > MAX_PROMPT_UNITS) {
    return `This is ${text.length.toLocaleString("en")} characters long; a prompt holds ${MAX_PROMPT_UNITS.toLocaleString("en")}.`;
  }
  return undefined;
}

/** 128 random bits. `crypto.randomUUID` is missing on plain http, where people try things out. */
export function requestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
