/**
 * The changes that somebody looks at. Recorded ones are those of a prompt's end; while a prompt
 * runs they are asked for as they are now, as often as something was written, while somebody looks.
 */
import { createEffect, createMemo, createSignal, on, onCleanup, onMount, untrack, type Accessor } from "solid-js";

import type { Changes, PromptId, SessionId } from "#ui/protocol.ts";
import type { Timeline } from "#ui/timeline.ts";

import { ApiError } from "../api.ts";
import { sessionParts } from "../session-api.ts";
import { createLoad, type Load } from "./load.ts";
import { Pace } from "./pace.ts";

/** Git looks through the whole workspace each time. */
const REST_MS = 4_000;
/** How long after a turn's end its record may take before the newest one is shown, whichever it is. */
const KEPT_MS = 10_000;

/** What the server says while there is nothing to look at. */
const NOTHING_YET: ReadonlySet<number> = new Set([404, 409]);

export const isNothingYet = (status: number | undefined): boolean => NOTHING_YET.has(status ?? 0);

interface Seen {
  readonly changes: Changes;
  /** As they were while their turn ran. */
  readonly live: boolean;
}

const same = (one: Seen, other: Seen | undefined): boolean =>
  one.live === other?.live && JSON.stringify(one.changes) === JSON.stringify(other.changes);

/** `now`: their turn still runs. `ended`: it has ended, and its record is still to come. */
export type Standing = "kept" | "now" | "ended";

export interface ShownChanges {
  readonly load: Load<Seen>;
  readonly standing: Accessor<Standing>;
  /** There is something newer, which waits until what is being written has been sent. */
  readonly stale: Accessor<boolean>;
  /** Shows it all the same. */
  renew(): void;
}

export function createChanges(about: {
  readonly id: SessionId;
  readonly timeline: Accessor<Timeline>;
  /** One prompt's alone; all when it is empty. */
  readonly picked: Accessor<PromptId>;
  readonly visible: Accessor<boolean>;
  /** Whether something is being written among what is shown. */
  occupied(): boolean;
  replace(change: () => void): void;
  /** What is shown now is as it was while its prompt ran. */
  onLive(changes: Changes): void;
}): ShownChanges {
  const { id, timeline, picked } = about;
  const running = createMemo(() => new Set(timeline().unfinished().map((turn) => turn.prompt.id)));
  const isLive = () => running().size > 0 && (picked() === "" || running().has(picked()));
  const recorded = () =>
    picked() === "" ? sessionParts.changes(id, "session") : sessionParts.changes(id, "prompt", picked());
  const asTheyAre = async (): Promise<Seen> => {
    const asked = running();
    const one = picked();
    try {
      const changes = await sessionParts.changesNow(id, one !== "" ? "prompt" : "session");
      // Of another prompt alone, since nobody can tell of this one yet.
      if (one !== "" && changes.prompt !== one) throw new ApiError(404, "no_changes", "");
      return { changes, live: asked.has(changes.prompt) };
    } catch (error) {
      if (!(error instanceof ApiError) || !isNothingYet(error.status)) throw error;
      return shown() ?? { changes: await recorded(), live: false };
    }
  };
  const [stale, setStale] = createSignal(false);
  let insisting = false;
  const load = createLoad<Seen>(
    async () => (isLive() ? asTheyAre() : { changes: await recorded(), live: false }),
    (change, value) => {
      const before = shown();
      // What is newer could not be had.
      if (value === before) return;
      if (about.occupied() && !insisting) {
        if (!same(value, before)) setStale(true);
      } else {
        setStale(false);
        about.replace(change);
      }
    },
  );
  const shown = () => {
    const state = load.state();
    return state.phase === "ready" ? state.value : undefined;
  };
  const standing = () => {
    const seen = shown();
    if (!seen?.live) return "kept";
    return running().has(seen.changes.prompt) ? "now" : "ended";
  };
  createEffect(() => {
    const seen = shown();
    if (seen?.live) untrack(() => about.onLive(seen.changes));
  });
  const newer = async () => {
    pace.unwant();
    // An answer that was insisted on is not overtaken.
    if (insisting) pace.want();
    else if (!stale() || !about.occupied()) await load.again(true);
  };
  const pace = new Pace(newer, REST_MS);

  onMount(() => void load.again());
  createEffect(
    on(picked, () => {
      setStale(false);
      pace.unwant();
      void load.again();
    }, { defer: true }),
  );
  const [hidden, setHidden] = createSignal(document.hidden);
  const hide = () => setHidden(document.hidden);
  document.addEventListener("visibilitychange", hide);
  const looking = () => about.visible() && !hidden();
  createEffect(() => pace.look(looking()));
  createEffect(on(() => timeline().written(), () => isLive() && pace.want(), { defer: true }));
  // What a prompt changed in the end is shown as soon as it is kept.
  createEffect(
    on(() => timeline().kept(), (kept) => {
      if (!kept || (picked() !== "" && picked() !== kept.prompt)) return;
      if (looking()) void newer();
      else pace.want();
    }, { defer: true }),
  );
  let timer: ReturnType<typeof setTimeout> | undefined;
  createEffect(
    on(standing, (is) => {
      clearTimeout(timer);
      if (is === "ended") timer = setTimeout(() => void newer(), KEPT_MS);
    }),
  );
  onCleanup(() => {
    clearTimeout(timer);
    pace.end();
    document.removeEventListener("visibilitychange", hide);
  });
  return {
    load,
    standing,
    stale,
    renew() {
      insisting = true;
      void load.again(true).finally(() => (insisting = false));
    },
  };
}
