/**
 * What the session changed, in total or by turn. The server keeps it from the end of each prompt,
 * so it is here after the sandbox has gone. A comment on a line goes to the agent as a prompt.
 */
import { For, Match, Show, Switch, createEffect, createMemo, createSignal, on, onMount, type JSX } from "solid-js";

import { commentPrompt, fileTree, type Folder, type Line } from "#ui/diff.ts";
import { promptProblem } from "#ui/outbox.ts";
import type { Change, ChangedFile, Changes } from "#ui/protocol.ts";
import { Icon } from "#ui/view/Icon.tsx";
import { WindowingProvider, createWindowing } from "#ui/view/Windowed.tsx";

import { notify } from "../notices.ts";
import { sessionParts } from "../session-api.ts";
import { remember, remembered } from "../storage.ts";
import { FileDiff, type Layout } from "./FileDiff.tsx";
import type { PanelProps } from "./Inspector.tsx";
import { createLoad } from "./load.ts";
import { PanelEmpty, PanelFailed, PanelLoading } from "./PanelState.tsx";

/** What the server says while nothing has been kept. */
const NOTHING_YET: ReadonlySet<number> = new Set([404, 409]);

const LETTERS: Readonly<Record<Change, string>> = { added: "A", modified: "M", deleted: "D", renamed: "R" };
const WORDS: Readonly<Record<Change, string>> = { added: "added", modified: "changed", deleted: "deleted", renamed: "renamed" };

export default function ChangesPanel(props: PanelProps): JSX.Element {
  let scroller!: HTMLDivElement;
  const [turn, setTurn] = createSignal("");
  const changes = createLoad(() =>
    turn() === "" ? sessionParts.changes(props.id, "session") : sessionParts.changes(props.id, "prompt", turn()),
  );
  onMount(() => changes.again());
  createEffect(on(turn, () => changes.again(), { defer: true }));
  // Newer changes come by themselves; a comment that is being written stays where it is.
  const news = () => props.client.store.timeline().kept()?.seq;
  const [stale, setStale] = createSignal(false);
  createEffect(
    on(news, () => {
      if (turn() !== "") return;
      if (scroller.querySelector(".line-comment")) setStale(true);
      else changes.again(true);
    }, { defer: true }),
  );
  const refresh = () => {
    setStale(false);
    changes.again(true);
  };
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
    const state = changes.state();
    return state.phase === "ready" ? state.value : undefined;
  };
  const failed = () => {
    const state = changes.state();
    return state.phase === "failed" ? state : undefined;
  };
  const finished = () => props.turns.filter((one) => one.state().phase === "finished");
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
          <For each={finished().toReversed()}>
            {(one) => <option value={one.prompt.id}>{one.prompt.text.replace(/\s+/g, " ").slice(0, 70)}</option>}
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
      <div class="panel-scroll" ref={scroller} classList={{ wrapped: wrapped() }} aria-busy={changes.busy()}>
        <Show when={stale()}>
          <button class="pill newer" onClick={refresh}>
            <Icon name="down" /> Newer changes
          </button>
        </Show>
        <WindowingProvider value={windowing}>
          <Switch>
            <Match when={changes.state().phase === "loading"}>
              <PanelLoading words="Loading the changes…" />
            </Match>
            <Match when={NOTHING_YET.has(failed()?.status ?? 0)}>
              <PanelEmpty icon="diff" title="No changes yet">
                When a prompt has ended, what it changed is shown here. {failed()?.message}
              </PanelEmpty>
            </Match>
            <Match when={failed()}>{(state) => <PanelFailed message={state().message} retry={() => changes.again()} />}</Match>
            <Match when={ready()?.files.length === 0}>
              <PanelEmpty icon="diff" title="Nothing was changed">
                {turn() === "" ? "The files are as they are on the branch." : "This prompt left all files as they were."}
              </PanelEmpty>
            </Match>
            <Match when={ready()}>
              {(value) => <ChangesView changes={value()} layout={layout()} archived={props.archived} comment={comment} />}
            </Match>
          </Switch>
        </WindowingProvider>
      </div>
    </>
  );
}

function ChangesView(props: {
  changes: Changes;
  layout: Layout;
  archived: boolean;
  comment: (file: ChangedFile, line: Line, words: string) => boolean;
}): JSX.Element {
  let list!: HTMLDivElement;
  const tree = createMemo(() => fileTree(props.changes.files));
  const sum = (of: "additions" | "deletions") => props.changes.files.reduce((total, file) => total + (file[of] ?? 0), 0);
  const count = () => props.changes.files.length + props.changes.omitted;
  const go = (path: string) => {
    const at = props.changes.files.findIndex((file) => file.path === path);
    const box = list.children[at];
    box?.scrollIntoView({ block: "start" });
    // Far away it is an empty box, which is filled when it has come near.
    const arrive = (tries: number) => {
      const details = box?.querySelector("details");
      if (!details && tries > 0) return void requestAnimationFrame(() => arrive(tries - 1));
      if (!details) return;
      details.open = true;
      details.scrollIntoView({ block: "start" });
      details.querySelector("summary")?.focus({ preventScroll: true });
    };
    arrive(30);
  };
  return (
    <>
      <details class="file-tree" open>
        <summary>
          <Icon name="chevron" class="turns" />
          <strong>{count() === 1 ? "1 file" : `${count()} files`}</strong>
          <span class="count">
            <span class="added">+{sum("additions").toLocaleString("en")}</span>{" "}
            <span class="removed">−{sum("deletions").toLocaleString("en")}</span>
          </span>
        </summary>
        <nav aria-label="Changed files">
          <FolderView folder={tree()} go={go} />
        </nav>
        <Show when={props.changes.omitted > 0}>
          <p class="quiet tree-note">{props.changes.omitted.toLocaleString("en")} more files are not listed.</p>
        </Show>
      </details>
      <div class="file-diffs" ref={list}>
        <For each={props.changes.files}>
          {(file) => (
            <FileDiff
              file={file}
              layout={props.layout}
              letter={LETTERS[file.change] ?? "M"}
              word={WORDS[file.change] ?? "changed"}
              {...(!props.archived && { comment: (line: Line, words: string) => props.comment(file, line, words) })}
            />
          )}
        </For>
      </div>
    </>
  );
}

function FolderView(props: { folder: Folder; go: (path: string) => void }): JSX.Element {
  return (
    <ul>
      <For each={props.folder.folders}>
        {(folder) => (
          <li>
            <details open>
              <summary class="tree-folder">
                <Icon name="chevron" class="turns" />
                <bdi>{folder.name}</bdi>
              </summary>
              <FolderView folder={folder} go={props.go} />
            </details>
          </li>
        )}
      </For>
      <For each={props.folder.files}>
        {({ name, file }) => (
          <li>
            <button class="tree-file" title={file.path} onClick={() => props.go(file.path)}>
              <span class={`change-letter ${file.change}`} aria-label={WORDS[file.change] ?? "changed"}>
                {LETTERS[file.change] ?? "M"}
              </span>
              <bdi class="tree-name">{name}</bdi>
              <Counts file={file} />
            </button>
          </li>
        )}
      </For>
    </ul>
  );
}

export function Counts(props: { file: ChangedFile }): JSX.Element {
  return (
    <span class="count">
      <Show when={props.file.additions !== undefined} fallback={<span class="quiet">binary</span>}>
        <span class="added">+{props.file.additions?.toLocaleString("en")}</span>{" "}
        <span class="removed">−{(props.file.deletions ?? 0).toLocaleString("en")}</span>
      </Show>
    </span>
  );
}
