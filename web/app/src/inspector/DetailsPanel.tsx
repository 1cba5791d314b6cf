/** What the session is: where it works, who takes part, what it was forked from, its files. */
import { For, Match, Show, Switch, createEffect, createMemo, createSignal, on, onMount, type JSX } from "solid-js";

import type { Person } from "#ui/protocol.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";
import { FileView } from "#ui/view/Files.tsx";
import { Icon } from "#ui/view/Icon.tsx";

import { api, messageOf } from "../api.ts";
import { notify } from "../notices.ts";
import { sessionPath } from "../router.ts";
import { sessionParts } from "../session-api.ts";
import { sessionTitle } from "../sessions.ts";
import type { PanelProps } from "./Inspector.tsx";
import { createLoad } from "./load.ts";
import { PanelFailed, PanelLoading } from "./PanelState.tsx";

export function DetailsPanel(props: PanelProps): JSX.Element {
  return (
    <div class="panel-body">
      <Show when={props.summary} fallback={<PanelLoading words="Loading the session…" />}>
        {(summary) => (
          <section>
            <h2>Session</h2>
            <dl class="facts">
              <dt>Title</dt>
              <dd dir="auto">{props.client.store.timeline().title() ?? sessionTitle(summary())}</dd>
              <dt>Repository</dt>
              <dd>{summary().repository}</dd>
              <dt>Branch</dt>
              <dd>
                <code>{summary().branch}</code>
              </dd>
              <dt>Started</dt>
              <dd>
                <time datetime={new Date(summary().created_at).toISOString()}>
                  {new Date(summary().created_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}
                </time>{" "}
                by {displayName(summary().created_by)}
              </dd>
              <Show when={summary().parent}>
                {(parent) => (
                  <>
                    <dt>Forked from</dt>
                    <dd>
                      <a class="link" href={sessionPath(parent().session)}>
                        its parent
                      </a>
                    </dd>
                  </>
                )}
              </Show>
            </dl>
          </section>
        )}
      </Show>
      <Participants {...props} />
      <Artifacts {...props} />
      <section>
        <h2>More</h2>
        <p class="quiet">
          Each finished turn can be forked from where it ends. Who was reached over the network is beside the{" "}
          <button class="link" onClick={() => props.show("waterfall")}>
            waterfall
          </button>
          .
        </p>
        <Archive {...props} />
      </section>
    </div>
  );
}

/** Who asked for something here, and who is here now. */
function Participants(props: PanelProps): JSX.Element {
  const people = createMemo(() => {
    const found = new Map<number, { person: Person; prompts: number; here: boolean }>();
    const meet = (person: Person) => {
      const known = found.get(person.id) ?? { person, prompts: 0, here: false };
      found.set(person.id, known);
      return known;
    };
    if (props.summary) meet(props.summary.created_by);
    for (const turn of props.turns) meet(turn.prompt.author).prompts += 1;
    for (const participant of props.client.store.participants()) meet(participant.person).here = true;
    return [...found.values()];
  });
  return (
    <section>
      <h2>People</h2>
      <ul class="people">
        <For each={people()}>
          {({ person, prompts, here }) => (
            <li>
              <Avatar person={person} size="small" dimmed={!here} />
              <span>{displayName(person)}</span>
              <span class="quiet">
                {prompts === 1 ? "1 prompt" : prompts > 1 ? `${prompts} prompts` : ""}
                {prompts > 0 && here ? " · " : ""}
                {here ? "here now" : ""}
              </span>
            </li>
          )}
        </For>
      </ul>
    </section>
  );
}

function Artifacts(props: PanelProps): JSX.Element {
  const files = createLoad(() => sessionParts.artifacts(props.id));
  onMount(() => void files.again());
  createEffect(on(() => props.client.store.timeline().artifacts().length, () => void files.again(true), { defer: true }));
  const ready = () => {
    const state = files.state();
    return state.phase === "ready" ? state.value.artifacts : undefined;
  };
  const failed = () => {
    const state = files.state();
    return state.phase === "failed" ? state : undefined;
  };
  return (
    <section>
      <h2>Files</h2>
      <Switch fallback={<PanelLoading words="Loading the files…" />}>
        <Match when={failed()}>{(state) => <PanelFailed message={state().message} retry={() => void files.again()} />}</Match>
        <Match when={ready()?.length === 0}>
          <p class="quiet">Pictures and files that people attach or the agent shows are listed here.</p>
        </Match>
        <Match when={ready()}>
          {(list) => (
            <ul class="attached">
              <For each={list()}>
                {(artifact) => (
                  <li>
                    <FileView artifact={artifact} />
                  </li>
                )}
              </For>
            </ul>
          )}
        </Match>
      </Switch>
    </section>
  );
}

function Archive(props: PanelProps): JSX.Element {
  const [busy, setBusy] = createSignal(false);
  const archive = async () => {
    setBusy(true);
    try {
      await api.archiveSession(props.id);
    } catch (error) {
      notify(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Show when={!props.archived} fallback={<p class="quiet">This session is archived: it can be read and forked.</p>}>
      <button class="button" disabled={busy()} onClick={() => void archive()}>
        <Icon name="archive" /> Archive this session
      </button>
    </Show>
  );
}
