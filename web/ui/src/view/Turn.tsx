/** A prompt and the work on it. Work that is over folds away; the answer stays. */
import { For, Match, Show, Switch, createMemo, createSignal, onCleanup, type JSX } from "solid-js";

import type { Outcome } from "../protocol.ts";
import type { Part, Turn, TurnItem } from "../timeline/item.ts";
import { Avatar, displayName } from "./Avatar.tsx";
import { clockTime, duration } from "./duration.ts";
import { useSurroundings } from "./context.ts";
import { createKept } from "./kept.ts";
import { Files } from "./Files.tsx";
import { Icon, Spinner } from "./Icon.tsx";
import { Markdown } from "./Markdown.tsx";
import { SandboxRow, SystemRow } from "./Row.tsx";
import { SOURCES } from "./source.ts";
import { Tool } from "./Tool.tsx";
import { Windowed } from "./Windowed.tsx";

/** Items in one box of a long turn, and about how high one is. */
const BOX = 24;
const ITEM_PX = 36;

export function TurnView(props: { turn: Turn }): JSX.Element {
  const state = () => props.turn.state();
  const finished = () => {
    const now = state();
    return now.phase === "finished" ? now : undefined;
  };
  // What somebody watched stays as it was; what was over before folds.
  const [open, setOpen] = createKept(props.turn, state().phase === "running");
  const answer = createMemo(() =>
    props.turn.items().findLast((item) => item.kind === "part" && item.part.kind === "text"),
  );
  const source = () => SOURCES[props.turn.prompt.source] ?? SOURCES.web;
  const surroundings = useSurroundings();
  const isWork = (item: TurnItem) =>
    item.kind === "row" ? item.row.type === "snapshotted" : item !== answer();
  const work = createMemo(() => props.turn.items().filter(isWork).length);
  const shown = createMemo(() =>
    open() || !finished() ? props.turn.items().slice() : props.turn.items().filter((item) => !isWork(item)),
  );
  return (
    <article class="turn" aria-label={`Prompt by ${displayName(props.turn.prompt.author)}`}>
      <header class="prompt">
        <Avatar person={props.turn.prompt.author} />
        <div class="prompt-main">
          <p class="prompt-author">
            <strong>{displayName(props.turn.prompt.author)}</strong>
            <span class="quiet">
              <span class="source" title={`From: ${source().label}`}>
                <Icon name={source().icon} /> {source().label}
              </span>{" "}
              · <time datetime={new Date(props.turn.startedAt).toISOString()}>{clockTime(props.turn.startedAt)}</time>
            </span>
          </p>
          <p class="prompt-text" dir="auto">{props.turn.prompt.text}</p>
          <Show when={props.turn.prompt.attachments}>{(artifacts) => <Files artifacts={artifacts()} />}</Show>
        </div>
      </header>
      <div class="work">
        <Show when={finished()}>
          {(end) => (
            <Show when={work() > 0}>
              <button class="fold" aria-expanded={open()} onClick={() => setOpen(!open())}>
                <Icon name="chevron" class={open() ? "turned" : ""} />
                Worked for {duration(end().at - props.turn.startedAt)}
                <span class="quiet"> · {work() === 1 ? "1 step" : `${work()} steps`}</span>
              </button>
            </Show>
          )}
        </Show>
        <Items items={shown()} />
        <Show when={finished()} fallback={<Working since={props.turn.startedAt} />}>
          {(end) => (
            <>
              <End outcome={end().outcome} />
              <Show when={surroundings.fork}>
                <button
                  class="turn-action"
                  title="A new session with the files and the conversation as they were here"
                  onClick={() => surroundings.fork?.(props.turn.prompt.id)}
                >
                  <Icon name="fork" /> Fork from here
                </button>
              </Show>
            </>
          )}
        </Show>
      </div>
    </article>
  );
}

/** In boxes, of which only those nearby are filled: a turn may call thousands of tools. */
function Items(props: { items: readonly TurnItem[] }): JSX.Element {
  const boxes = createMemo(() => Array.from({ length: Math.ceil(props.items.length / BOX) }, (_, index) => index));
  return (
    <For each={boxes()}>
      {(box) => {
        const items = createMemo(() => props.items.slice(box * BOX, (box + 1) * BOX));
        return (
          <Windowed class="items" estimate={items().length * ITEM_PX} eager={box >= boxes().length - 2}>
            <For each={items()}>{(item) => <TurnItemView item={item} />}</For>
          </Windowed>
        );
      }}
    </For>
  );
}

function TurnItemView(props: { item: TurnItem }): JSX.Element {
  const as = <K extends TurnItem["kind"]>(kind: K) =>
    props.item.kind === kind ? (props.item as Extract<TurnItem, { kind: K }>) : undefined;
  return (
    <Switch>
      <Match when={as("part")}>{(item) => <PartView part={item().part} />}</Match>
      <Match when={as("row")}>{(item) => <SystemRow row={item().row} />}</Match>
      <Match when={as("sandbox")}>{(item) => <SandboxRow sandbox={item().sandbox} />}</Match>
    </Switch>
  );
}

function PartView(props: { part: Part }): JSX.Element {
  const growing = () => props.part.state().phase === "growing";
  const [open, setOpen] = createKept(props.part, false);
  // While it grows it is not read out: whoever listens would hear every token.
  return (
    <Switch>
      <Match when={props.part.kind === "tool"}>
        <Tool part={props.part} />
      </Match>
      <Match when={props.part.kind === "reasoning"}>
        <details
          class="tool reasoning"
          aria-live="off"
          open={open()}
          onToggle={(event) => setOpen(event.currentTarget.open)}
        >
          <summary>
            <Show when={growing()} fallback={<Icon name="spark" />}>
              <Spinner />
            </Show>
            <span class="tool-title">{growing() ? "Thinking…" : "Thought"}</span>
            <Icon name="chevron" class="turns" />
          </summary>
          <Show when={open()}>
            <div class="tool-body">
              <Markdown source={props.part.source} final={!growing()} />
            </div>
          </Show>
        </details>
      </Match>
      <Match when={props.part.source.length > 0}>
        <div class="answer" classList={{ growing: growing() }} aria-live={growing() ? "off" : undefined}>
          <Markdown source={props.part.source} final={!growing()} />
        </div>
      </Match>
    </Switch>
  );
}

function Working(props: { since: number }): JSX.Element {
  const [now, setNow] = createSignal(Date.now());
  const timer = setInterval(() => setNow(Date.now()), 1_000);
  onCleanup(() => clearInterval(timer));
  return (
    <p class="in-progress" aria-live="off">
      <Spinner /> Working
      <span class="quiet"> · {Math.max(0, Math.round((now() - props.since) / 1_000))} s</span>
    </p>
  );
}

function End(props: { outcome: Outcome }): JSX.Element {
  const as = <R extends Outcome["result"]>(result: R) =>
    props.outcome.result === result ? (props.outcome as Extract<Outcome, { result: R }>) : undefined;
  return (
    <Switch>
      <Match when={as("stopped")}>
        {(end) => (
          <p class="row">
            <Icon name="stop" />
            <span>Stopped by {displayName(end().by)}.</span>
          </p>
        )}
      </Match>
      <Match when={as("failed")}>
        {(end) => (
          <p class="row bad" role="alert">
            <Icon name="warning" />
            <span>Failed: {end().message}</span>
          </p>
        )}
      </Match>
    </Switch>
  );
}
