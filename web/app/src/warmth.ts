/** How warm a session's sandbox is before its first prompt, from its log. Purely. */
import type { Event } from "#ui/protocol.ts";
import { duration } from "#ui/view/duration.ts";

export type Warmth =
  | { readonly phase: "asked" }
  /** Waits for the sandbox that was claimed for it, or for one that is being made. */
  | { readonly phase: "claimed"; readonly ms: number; readonly detail: string | undefined; readonly at: number }
  | { readonly phase: "starting"; readonly at: number }
  | { readonly phase: "ready"; readonly ms: number; readonly detail: string | undefined }
  | { readonly phase: "asleep" }
  | { readonly phase: "lost"; readonly reason: string };

export const COLD: Warmth = { phase: "asked" };

export function warmer(before: Warmth, event: Event): Warmth {
  switch (event.type) {
    case "sandbox_starting":
      return before.phase === "claimed" ? { ...before, at: event.at } : { phase: "starting", at: event.at };
    case "step":
      if (event.step.name === "claim" && before.phase !== "ready") {
        const at = before.phase === "starting" ? before.at : event.step.started_at;
        return { phase: "claimed", ms: event.step.ms, detail: event.step.detail, at };
      }
      // How it was brought up says more than how it was placed.
      if (event.step.name === "restore" && before.phase === "claimed") return { ...before, detail: event.step.detail };
      return before;
    case "sandbox_ready": {
      const began = before.phase === "starting" || before.phase === "claimed" ? before.at : event.at;
      const told = before.phase === "claimed" ? before.detail : undefined;
      return { phase: "ready", ms: Math.max(0, event.at - began), detail: told };
    }
    case "sandbox_lost":
      return { phase: "lost", reason: event.reason };
    case "sandbox_slept":
    case "sandbox_released":
      return { phase: "asleep" };
    default:
      return before;
  }
}

export function warmthWords(warmth: Warmth): string {
  const detail = (text: string | undefined) => (text ? ` (${text})` : "");
  switch (warmth.phase) {
    case "asked":
      return "Asking for a sandbox…";
    case "claimed":
      return `Sandbox claimed in ${duration(warmth.ms)}${detail(warmth.detail)}, starting…`;
    case "starting":
      return "Sandbox starting…";
    case "ready":
      return `Sandbox ready in ${duration(warmth.ms)}${detail(warmth.detail)}`;
    case "asleep":
      return "The sandbox rests. It wakes when you write.";
    case "lost":
      return "The sandbox was lost. Another one starts with the prompt.";
  }
}
