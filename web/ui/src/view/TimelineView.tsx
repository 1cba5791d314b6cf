/** The log as people read it, kept at its end while they are there. What is older loads upwards. */
import { For, Match, Show, Switch, createComputed, createEffect, createMemo, createSignal, on, onCleanup, onMount, type JSX } from "solid-js";

import type { Past } from "../client.ts";
import type { Timeline } from "../timeline.ts";
import type { Item, Turn } from "../timeline/item.ts";
import { createFollow } from "./follow.ts";
import { Icon, Spinner } from "./Icon.tsx";
import { SandboxRow, SystemRow } from "./Row.tsx";
import { TurnView } from "./Turn.tsx";
import { Windowed, WindowingProvider, createWindowing } from "./Windowed.tsx";

/** How much of an answer is read out when it is there. */
const SPOKEN = 300;

/** So many of the newest are on the page at once; the rest as they come near. */
const EAGER = 3;

export interface PastProps {
  readonly pieces: readonly Timeline[];
  /** Nothing older is left. */
  readonly complete: boolean;
  readonly state: Past;
  load(): void;
}

export function TimelineView(props: { timeline: Timeline; past?: PastProps; empty: JSX.Element }): JSX.Element {
  let scroller!: HTMLDivElement;
  let content!: HTMLDivElement;
  const follow = createFollow(
    () => scroller,
    () => content,
    () => props.timeline.activity(),
  );
  const past = createMemo(() => (props.past?.pieces ?? []).flatMap((piece) => piece.items()));
  holdStill(() => scroller, () => content, past);
  const items = createMemo(() => [...past(), ...props.timeline.items()]);
  const windowing = createWindowing(() => scroller);
  const count = () => items().length;
  return (
    <div class="timeline-frame">
      <div class="timeline" ref={scroller} tabindex="0" role="region" aria-label="Conversation">
        <Show when={props.past && !props.past.complete && props.past}>
          {(older) => <Older past={older()} scroller={() => scroller} />}
        </Show>
        <div class="timeline-content" ref={content} role="log" aria-live="polite" aria-relevant="additions">
          <WindowingProvider value={windowing}>
            <Show when={count() === 0 && (props.past?.complete ?? true)}>{props.empty}</Show>
            <For each={items()}>
              {(item, index) =>
                item.kind === "turn" ? (
                  <Windowed estimate={estimate(item.turn)} eager={index() >= count() - EAGER}>
                    <TurnView turn={item.turn} />
                  </Windowed>
                ) : (
                  <ItemView item={item} />
                )
              }
            </For>
          </WindowingProvider>
        </div>
      </div>
      <Show when={follow.behind()}>
        <button class="pill" onClick={() => follow.toEnd()}>
          <Icon name="down" /> New activity
        </button>
      </Show>
      <Announcer timeline={props.timeline} />
    </div>
  );
}

/** A folded turn: its prompt, a line, its answer. */
function estimate(turn: Turn): number {
  const answer = turn.items().findLast((item) => item.kind === "part" && item.part.kind === "text");
  const letters = answer?.kind === "part" ? answer.part.source.length : 0;
  return 190 + Math.ceil(letters / 90) * 24;
}

/** What is added above must not move what is looked at. */
function holdStill(scroller: () => HTMLElement, content: () => HTMLElement | undefined, past: () => readonly Item[]): void {
  let first: Element | null | undefined;
  let top = 0;
  // Before the page changes, as it stands now; and once it has changed.
  createComputed(
    on(past, () => {
      first = content()?.firstElementChild;
      top = first?.getBoundingClientRect().top ?? 0;
    }, { defer: true }),
  );
  createEffect(
    on(past, () => {
      if (!first?.isConnected) return;
      const moved = first.getBoundingClientRect().top - top;
      // The browser has done it already where it anchors, except at the very top.
      if (Math.abs(moved) >= 1) scroller().scrollTop += moved;
    }, { defer: true }),
  );
}

/** Asks for what is older before anybody sees the end of what is there. */
function Older(props: { past: PastProps; scroller: () => HTMLElement }): JSX.Element {
  let mark!: HTMLDivElement;
  const [near, setNear] = createSignal(false);
  onMount(() => {
    const observer = new IntersectionObserver(([entry]) => setNear(entry?.isIntersecting ?? false), {
      root: props.scroller(),
      rootMargin: "200% 0px 0px 0px",
    });
    observer.observe(mark);
    onCleanup(() => observer.disconnect());
  });
  // Once more after each piece, until what is there reaches far enough.
  createEffect(on([near, () => props.past.pieces.length, () => props.past.state], () => {
    if (near() && props.past.state === "idle") props.past.load();
  }));
  return (
    <div class="older" ref={mark}>
      <Show
        when={props.past.state === "failed"}
        fallback={
          <p class="row">
            <Spinner /> <span>Loading what came before…</span>
          </p>
        }
      >
        <p class="row">
          <Icon name="warning" /> <span>What came before could not be loaded.</span>
        </p>
        <button class="button" onClick={() => props.past.load()}>
          Try again
        </button>
      </Show>
    </div>
  );
}

function ItemView(props: { item: Exclude<Item, { kind: "turn" }> }): JSX.Element {
  const as = <K extends Item["kind"]>(kind: K) =>
    props.item.kind === kind ? (props.item as Extract<Item, { kind: K }>) : undefined;
  return (
    <Switch>
      <Match when={as("row")}>{(item) => <SystemRow row={item().row} />}</Match>
      <Match when={as("sandbox")}>{(item) => <SandboxRow sandbox={item().sandbox} />}</Match>
    </Switch>
  );
}

/** Says once what a turn came to, instead of every token on the way. */
function Announcer(props: { timeline: Timeline }): JSX.Element {
  const [said, say] = createSignal("");
  const ended = () => {
    const last = props.timeline.last();
    return last?.state().phase === "finished" ? last : undefined;
  };
  createEffect(on(ended, (turn) => turn && say(spoken(turn)), { defer: true }));
  return (
    <p class="unseen" role="status">
      {said()}
    </p>
  );
}

function spoken(turn: Turn): string {
  const state = turn.state();
  const result = state.phase === "finished" ? state.outcome.result : "completed";
  const answer = turn.items().findLast((item) => item.kind === "part" && item.part.kind === "text");
  const text = answer?.kind === "part" ? answer.part.text().replace(/[#*_`>|]/g, "") : "";
  return `The agent has ${result === "completed" ? "finished" : result}. ${text.slice(0, SPOKEN)}`;
}
