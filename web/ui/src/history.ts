/**
 * Where the log can be cut, so that what follows reads well without what came before.
 *
 * A page opens with the end of a long log and loads the rest upwards, piece by piece. Each piece is
 * folded by itself, so it must name no prompt, part or sandbox that began in an earlier one. It
 * begins where a prompt was queued while nothing ran, or with the log.
 */
import type { Event, StepName } from "./protocol.ts";

/** Steps on the way to a turn; all others follow on one. */
const AHEAD: ReadonlySet<StepName> = new Set<StepName>(["typing", "claim", "image", "restore", "sync", "agent_up"]);

/** The earliest place in `events` from which they stand by themselves up to their end. */
export function beginning(events: readonly Event[]): number | undefined {
  let found: number | undefined;
  /** Named by what follows, and not begun there. */
  const wanted = new Set<string>();
  for (let index = events.length - 1; index >= 0; index -= 1) {
    const event = events[index];
    if (!event) break;
    for (const name of named(event)) wanted.add(name);
    const begun = begins(event);
    if (begun !== undefined) wanted.delete(begun);
    if (wanted.size > 0) continue;
    if (event.type === "prompt_queued") found = withItsSandbox(events, index);
    if (event.seq === 1) found = index;
  }
  return found;
}

function begins(event: Event): string | undefined {
  switch (event.type) {
    case "prompt_queued":
      return event.prompt.id;
    case "part_started":
      return `part ${event.part}`;
    case "sandbox_starting":
      return `sandbox ${event.epoch}`;
    default:
      return undefined;
  }
}

/** What a fold has to know of. Late news of a prompt, like its push, can stand between turns too. */
function named(event: Event): string[] {
  switch (event.type) {
    case "prompt_started":
    case "prompt_resumed":
    case "prompt_finished":
    case "part_started":
      return [event.prompt];
    case "part_finished":
      return [event.prompt, `part ${event.part}`];
    case "sandbox_ready":
      return [`sandbox ${event.epoch}`];
    default:
      return [];
  }
}

/** A sandbox that was started while its prompt was typed belongs to the turn. */
function withItsSandbox(events: readonly Event[], index: number): number {
  let from = index;
  const open = new Set<number>();
  for (let at = index - 1; at >= 0; at -= 1) {
    const event = events[at];
    if (event?.type === "sandbox_ready") open.add(event.epoch);
    else if (event?.type === "sandbox_starting") open.delete(event.epoch);
    else if (event?.type !== "step" || !AHEAD.has(event.step.name)) break;
    if (open.size === 0) from = at;
  }
  return from;
}
