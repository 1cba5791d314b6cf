/** Beside the timeline: what came of the session and where its time went. */
import { For, Index, Show, createEffect, createMemo, createSignal, on, type JSX } from "solid-js";

import type { SessionSummary, Step } from "#ui/protocol.ts";
import type { Timeline, Turn } from "#ui/timeline.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";
import { Icon } from "#ui/view/Icon.tsx";
import { ChangeCount, FileList, webAddress } from "#ui/view/Row.tsx";
import { Waterfall } from "#ui/view/Waterfall.tsx";

export function SessionDetails(props: { timeline: Timeline; summary: SessionSummary | undefined }): JSX.Element {
  // The log is newer where it knows of any.
  const pulls = () => {
    const told = props.timeline.pullRequests();
    return (told.length > 0 ? told : (props.summary?.pull_requests ?? [])).toReversed();
  };
  return (
    <>
      <Show when={pulls().length > 0}>
        <section>
          <h2>{pulls().length === 1 ? "Pull request" : "Pull requests"}</h2>
          <For each={pulls()}>
            {(request) => (
              <a class="card pull-request" href={webAddress(request.url)} target="_blank" rel="noopener noreferrer">
                <Icon name="pull" />
                <span class="card-main">
                  <strong>{request.title}</strong>
                  <span class="quiet">
                    #{request.number} · {request.state}
                  </span>
                </span>
              </a>
            )}
          </For>
        </section>
      </Show>
      <section>
        <h2>
          Changes
          <Show when={props.timeline.pushed()}>{(pushed) => <ChangeCount files={pushed().files} />}</Show>
        </h2>
        <Show when={props.timeline.pushed()} fallback={<p class="quiet">Nothing has been pushed yet.</p>}>
          {(pushed) => <FileList files={pushed().files} />}
        </Show>
      </section>
      <Time timeline={props.timeline} />
      <Show when={props.summary}>
        {(summary) => (
          <section>
            <h2>Session</h2>
            <dl class="facts">
              <dt>Repository</dt>
              <dd>{summary().repository}</dd>
              <dt>Branch</dt>
              <dd>{summary().branch}</dd>
              <dt>Started by</dt>
              <dd class="person">
                <Avatar person={summary().created_by} size="small" /> {displayName(summary().created_by)}
              </dd>
              <dt>Started</dt>
              <dd>{new Date(summary().created_at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}</dd>
            </dl>
          </section>
        )}
      </Show>
    </>
  );
}

/** The newest turn, until somebody picks another. */
function Time(props: { timeline: Timeline }): JSX.Element {
  const turns = createMemo(() =>
    props.timeline.items().flatMap((item): Turn[] => (item.kind === "turn" ? [item.turn] : [])),
  );
  const [picked, setPicked] = createSignal<number | undefined>();
  createEffect(on(() => turns().length, () => setPicked(undefined)));
  const index = () => picked() ?? turns().length - 1;
  const steps = (): readonly Step[] => {
    if (picked() === undefined && props.timeline.upcoming().length > 0) return props.timeline.upcoming().slice();
    return turns()[index()]?.steps().slice() ?? [];
  };
  return (
    <section>
      <h2>
        Where the time went
        <Show when={turns().length > 1}>
          <select
            aria-label="Prompt"
            value={index()}
            onChange={(event) => setPicked(Number(event.currentTarget.value))}
          >
            <Index each={turns()}>{(_, at) => <option value={at}>Prompt {at + 1}</option>}</Index>
          </select>
        </Show>
      </h2>
      <Show when={steps().length > 0} fallback={<p class="quiet">Nothing has been waited for yet.</p>}>
        <Waterfall steps={steps()} />
      </Show>
    </section>
  );
}
