/** Events for tests, numbered in the order in which they are made. */
import type { Event, Fact, Person, Prompt, ServerFrame, SessionSummary } from "./protocol.ts";

export const ADA: Person = { id: 1, login: "ada", name: "Ada", avatar: "https://example.com/ada.png" };
export const BO: Person = { id: 2, login: "bo", name: "Bo", avatar: "https://example.com/bo.png" };

export const SUMMARY: SessionSummary = {
  id: "ses_1",
  repository: "acme/shop",
  branch: "main",
  title: "Fix the tests",
  state: "idle",
  created_by: ADA,
  created_at: 1_000,
  updated_at: 1_000,
  pull_requests: [],
  paused: false,
};

export function prompt(id: string, text: string, author = ADA): Prompt {
  return { id, author, text, source: "web", mode: "queue" };
}

export function log(...facts: Fact[]): Event[] {
  return facts.map((fact, index) => ({ seq: index + 1, at: 1_000 + index, ...fact }));
}

export function welcome(headSeq: number): ServerFrame {
  return { type: "welcome", session: SUMMARY, participants: [], queue: [], head_seq: headSeq };
}

/** A prompt that runs and streams one text part. */
export const STREAMING: Fact[] = [
  { type: "session_created", repository: "acme/shop", branch: "main", by: ADA },
  { type: "prompt_queued", prompt: prompt("pmt_1", "Fix it") },
  { type: "prompt_started", prompt: "pmt_1" },
  { type: "part_started", part: 1, prompt: "pmt_1", body: { kind: "text" } },
];
