/** The log as people read it, kept at its end while they are there. */
import { For, Match, Show, Switch, createEffect, createSignal, on, type JSX } from "solid-js";

import type { Item, Timeline, Turn } from "../timeline.ts";
import { createFollow } from "./follow.ts";
import { Icon } from "./Icon.tsx";
import { SandboxRow, SystemRow } from "./Row.tsx";
import { TurnView } from "./Turn.tsx";

/** How much of an answer is read out when it is there. */
const SPOKEN = 300;

export function TimelineView(props: { timeline: Timeline; empty: JSX.Element }): JSX.Element {
  let scroller!: HTMLDivElement;
  let content!: HTMLDivElement;
  const follow = createFollow(
    () => scroller,
    () => content,
    () => props.timeline.activity(),
  );
  const items = () => props.timeline.items().slice();
  return (
    <div class="timeline-frame">
      <div class="timeline" ref={scroller} tabindex="0" role="region" aria-label="Conversation">
        <div class="timeline-content" ref={content} role="log" aria-live="polite" aria-relevant="additions">
          <Show when={items().length === 0}>{props.empty}</Show>
          <For each={items()}>{(item) => <ItemView item={item} />}</For>
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

function ItemView(props: { item: Item }): JSX.Element {
  const as = <K extends Item["kind"]>(kind: K) =>
    props.item.kind === kind ? (props.item as Extract<Item, { kind: K }>) : undefined;
  return (
    <Switch>
      <Match when={as("turn")}>{(item) => <TurnView turn={item().turn} />}</Match>
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
