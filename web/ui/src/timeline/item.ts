/**
 * What a timeline is made of: turns with their parts, and rows for what happened around them. What
 * changes while somebody reads is an accessor, so that nothing else is drawn anew.
 */
import type { Accessor } from "solid-js";

import type { GrowingText } from "../growing-text.ts";
import type { Event, Fact, Outcome, PartId, PartOutcome, Prompt, Step } from "../protocol.ts";

export type EventOf<T extends Fact["type"]> = Extract<Event, { type: T }>;

/** Rows that say what happened around the agent's own words. */
export type Row = EventOf<
  | "notice"
  | "update"
  | "limit_reached"
  | "pushed"
  | "pull_request_opened"
  | "pull_request_changed"
  | "pull_request_reviewed"
  | "checks_finished"
  | "artifact_added"
  | "prompt_resumed"
  | "sandbox_slept"
  | "snapshotted"
  | "queue_paused"
  | "queue_resumed"
  | "session_created"
  | "session_archived"
>;

export type SandboxState =
  | { phase: "starting" }
  | { phase: "ready"; at: number; commit: string; fromImage: boolean }
  /** Nobody used it, or it fell asleep before anybody could. */
  | { phase: "released" }
  | { phase: "lost"; at: number; reason: string };

/** What is known of the newest sandbox. `asleep` also stands for one that was never woken. */
export type SandboxLife = "starting" | "ready" | "asleep" | "lost";

export interface Sandbox {
  readonly startedAt: number;
  /** It goes on from what one before it had kept when it fell asleep. */
  readonly restored: boolean;
  readonly state: Accessor<SandboxState>;
}

export type PartState = { phase: "growing" } | ({ phase: "finished"; at: number } & PartOutcome);

export interface Part {
  readonly id: PartId;
  readonly kind: "text" | "reasoning" | "tool";
  /** Name and arguments of a tool call. */
  readonly tool: string;
  readonly input: string;
  readonly startedAt: number;
  readonly title: Accessor<string>;
  /** The words of a text, the output of a tool. */
  readonly text: Accessor<string>;
  /** The same, for whoever follows it while it grows. */
  readonly source: GrowingText;
  readonly state: Accessor<PartState>;
}

export type TurnItem =
  | { readonly kind: "part"; readonly part: Part }
  | { readonly kind: "row"; readonly row: Row }
  | { readonly kind: "sandbox"; readonly sandbox: Sandbox };

export type TurnState = { phase: "running" } | { phase: "finished"; at: number; outcome: Outcome };

export interface Turn {
  readonly prompt: Prompt;
  readonly startedAt: number;
  readonly items: Accessor<readonly TurnItem[]>;
  readonly steps: Accessor<readonly Step[]>;
  readonly state: Accessor<TurnState>;
}

export type Item = { readonly kind: "turn"; readonly turn: Turn } | Exclude<TurnItem, { kind: "part" }>;
