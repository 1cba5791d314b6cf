/**
 * What the session changed, in total or by turn, and what the running one has changed so far. The
 * server keeps it from the end of each prompt, so it is here after the sandbox has gone. A comment on a line goes to the agent as a prompt.
 */
import { For, Match, Show, Switch, createSignal, type JSX } from "solid-js";

import { commentPrompt, type Line } from "#ui/diff.ts";
import { promptProblem } from "#ui/outbox.ts";
import type { ChangedFile, Changes } from "#ui/protocol.ts";
import { Icon } from "#ui/view/Icon.tsx";
import { WindowingProvider, createWindowing } from "#ui/view/Windowed.tsx";

import { notify } from "../notices.ts";
import { remember, remembered } from "../storage.ts";
import { ChangedFiles } from "./ChangedFiles.tsx";
import type { Layout } from "./FileDiff.tsx";
import { hold } from "./hold.ts";
import type { PanelProps } from "./Inspector.tsx";
import { PanelEmpty, PanelFailed, PanelLoading } from "./PanelState.tsx";
import { createChanges, isNothingYet, type Standing } from "./changes.ts";

const STANDINGS: Readonly<Record<Standing, string | undefined>> = {
  kept: undefined,
  now: "As of now: the turn is still running.",
  ended: "The turn has ended. This is how it was shortly before.",
};

export default function ChangesPanel(
  props: PanelProps & {
    visible: boolean;
    /** What is shown is as it is while its prompt runs. */
    onLive: (changes: Changes) => void;
  },
): JSX.Element {
  let scroller!: HTMLDivElement;
  const [turn, setTurn] = createSignal("");
  const changes = createChanges({
    id: props.id,
    timeline: () => props.client.store.timeline(),
    picked: turn,
    visible: () => props.visible,
    occupied: () => scroller.querySelector(".line-comment") !== null,
    replace: (change) => hold(scroller, change),
    onLive: (seen) => props.onLive(seen),
  });
  const { load } = changes;
  const [layout, setLayout] = createSignal<Layout>(remembered("diff-layout") === "split" ? "split" : "unified");
  const choose = (next: Layout) => {
    setLayout(next);
    remember("diff-layout", next);
  };
  const [wrapped, setWrapped] = createSignal(remembered("diff-wrap") !== "no");
  const wrap = (on: boolean) => {
    setWrapped(on);
    remember("diff-wrap", on ? "" : "no");
  };
  const ready = () => {
    const state = load.state();
    return state.phase === "ready" ? state.value.changes : undefined;
  };
  const failed = () => {
    const state = load.state();
    return state.phase === "failed" ? state : undefined;
  };
  const runs = () => props.client.store.timeline().running() !== undefined;
  const comment = (file: ChangedFile, line: Line, words: string): boolean => {
    const text = commentPrompt(file.path, line, words);
    const wrong = words.trim() === "" ? promptProblem(words) : promptProblem(text);
    if (wrong !== undefined) {
      notify(wrong);
      return false;
    }
    props.client.send(text, "queue");
    return true;
  };
  const windowing = createWindowing(() => scroller);
  return (
    <>
      <div class="panel-tools">
        <select aria-label="Which changes" value={turn()} onChange={(event) => setTurn(event.currentTarget.value)}>
          <option value="">All changes</option>
          <For each={props.turns.toReversed()}>
            {(one) => (
              <option value={one.prompt.id}>
                {one.state().phase === "running" ? "Running: " : ""}
                {one.prompt.text.replace(/\s+/g, " ").slice(0, 70)}
              </option>
            )}
          </For>
        </select>
        <div class="segments" role="group" aria-label="Layout">
          <button aria-pressed={layout() === "unified"} onClick={() => choose("unified")}>
            Unified
          </button>
          <button aria-pressed={layout() === "split"} onClick={() => choose("split")}>
            Split
          </button>
        </div>
        <button class="tool-toggle" aria-pressed={wrapped()} title="Wrap long lines" onClick={() => wrap(!wrapped())}>
          Wrap
        </button>
      </div>
      <div role="status">
        <Show when={STANDINGS[changes.standing()]}>
          {(words) => (
            <p class="live-note" classList={{ now: changes.standing() === "now" }}>
              {words()}
            </p>
          )}
        </Show>
      </div>
      <div class="panel-scroll" ref={scroller} classList={{ wrapped: wrapped() }} aria-busy={load.busy()}>
        <Show when={changes.stale()}>
          <button class="pill newer" onClick={() => changes.renew()}>
            <Icon name="down" /> Newer changes
          </button>
        </Show>
        <WindowingProvider value={windowing}>
          <Switch>
            <Match when={load.state().phase === "loading"}>
              <PanelLoading words="Loading the changes…" />
            </Match>
            <Match when={isNothingYet(failed()?.status)}>
              <PanelEmpty icon="diff" title="No changes yet">
                {runs() ? "What the agent changes is shown here as soon as it can be looked at." : "What a prompt changes is shown here."}
              </PanelEmpty>
            </Match>
            <Match when={failed()}>{(state) => <PanelFailed message={state().message} retry={() => void load.again()} />}</Match>
            <Match when={ready()?.files.length === 0}>
              <Show
                when={changes.standing() === "kept"}
                fallback={<PanelEmpty icon="diff" title="Nothing has been changed so far" />}
              >
                <PanelEmpty icon="diff" title="Nothing was changed">
                  {turn() === "" ? "The files are as they are on the branch." : "This prompt left all files as they were."}
                </PanelEmpty>
              </Show>
            </Match>
            <Match when={ready()}>
              {(value) => <ChangedFiles changes={value()} layout={layout()} archived={props.archived} comment={comment} />}
            </Match>
          </Switch>
        </WindowingProvider>
      </div>
    </>
  );
}
