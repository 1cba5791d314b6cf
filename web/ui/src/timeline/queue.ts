/** Prompts that wait, in the order in which the agent will read them. */
import { createSignal, type Accessor } from "solid-js";

import type { Person, Prompt, PromptId } from "../protocol.ts";
import type { EventOf } from "./item.ts";

export interface Waiting {
  readonly prompt: Prompt;
  readonly editedBy: Person | undefined;
}

export class WaitingPrompts {
  readonly #all = createSignal<readonly Waiting[]>([]);
  readonly all: Accessor<readonly Waiting[]> = this.#all[0];

  /** Each once, though it may have been told before, by what came with the connection. */
  add(prompt: Prompt): void {
    this.#all[1]((queue) => {
      const waiting: Waiting = { prompt, editedBy: undefined };
      if (queue.some((other) => other.prompt.id === prompt.id)) {
        return queue.map((other) => (other.prompt.id === prompt.id ? waiting : other));
      }
      if (prompt.mode === "queue") return [...queue, waiting];
      const behind = queue.findIndex((other) => other.prompt.mode === "queue");
      return behind < 0 ? [...queue, waiting] : [...queue.slice(0, behind), waiting, ...queue.slice(behind)];
    });
  }

  edit({ prompt: id, text, by }: EventOf<"prompt_edited">): void {
    this.#all[1]((queue) =>
      queue.map((waiting) =>
        waiting.prompt.id === id ? { prompt: { ...waiting.prompt, text }, editedBy: by } : waiting,
      ),
    );
  }

  /** What the new order does not name stays behind what it names. */
  reorder(order: readonly PromptId[]): void {
    this.#all[1]((queue) => {
      const place = (waiting: Waiting) => {
        const found = order.indexOf(waiting.prompt.id);
        return found < 0 ? order.length : found;
      };
      return [...queue].sort((one, other) => place(one) - place(other));
    });
  }

  /** Takes one out, if it waits. */
  take(id: PromptId): Prompt | undefined {
    const waiting = this.all().find((other) => other.prompt.id === id);
    if (waiting) this.#all[1]((queue) => queue.filter((other) => other !== waiting));
    return waiting?.prompt;
  }
}
