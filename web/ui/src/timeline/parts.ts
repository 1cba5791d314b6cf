/** The texts and tool calls of all turns, while they grow and when they have ended. */
import { createSignal, type Accessor } from "solid-js";

import { GrowingText } from "../growing-text.ts";
import type { PartId } from "../protocol.ts";
import { mayWrite } from "../writing.ts";
import type { EventOf, Part, PartState } from "./item.ts";

interface OpenPart {
  view: Part;
  setTitle(title: string): void;
  setState(state: PartState): void;
}

export class Parts {
  readonly #parts = new Map<PartId, OpenPart>();
  readonly #written = createSignal(0);

  /** Grows with each tool call that ended and may have written a file. */
  readonly written: Accessor<number> = this.#written[0];

  get(id: PartId): Part | undefined {
    return this.#parts.get(id)?.view;
  }

  start(event: EventOf<"part_started">): Part {
    const source = new GrowingText();
    const [title, setTitle] = createSignal(event.body.kind === "tool" ? event.body.title : "");
    const [state, setState] = createSignal<PartState>({ phase: "growing" });
    const view: Part = {
      id: event.part,
      kind: event.body.kind,
      tool: event.body.kind === "tool" ? event.body.tool : "",
      input: event.body.kind === "tool" ? event.body.input : "",
      startedAt: event.at,
      title,
      text: () => source.text(),
      source,
      state,
    };
    this.#parts.set(event.part, { view, setTitle, setState });
    return view;
  }

  /** False when it is not what its deltas add up to. */
  finish(event: EventOf<"part_finished">): boolean {
    const part = this.#parts.get(event.part);
    if (!part) return true;
    if (event.text !== undefined) part.view.source.replace(event.text);
    else if (part.view.source.length !== event.length) return false;
    if (event.outcome.result === "completed" && event.outcome.title) part.setTitle(event.outcome.title);
    this.settle(event);
    if (part.view.kind === "tool" && mayWrite(part.view.tool)) this.#written[1]((count) => count + 1);
    return true;
  }

  /** Takes what there is of it. */
  settle(event: EventOf<"part_finished">): void {
    this.#parts.get(event.part)?.setState({ phase: "finished", at: event.at, ...event.outcome });
  }

  /** Its turn has ended before it. */
  interrupt(id: PartId, at: number): void {
    const part = this.#parts.get(id);
    if (part?.view.state().phase !== "growing") return;
    part.setState({ phase: "finished", at, result: "failed", message: "interrupted" });
  }
}
