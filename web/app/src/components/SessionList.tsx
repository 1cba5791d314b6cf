/** Sessions by what they need, newest first. The same list is a page and a sidebar. */
import { For, Match, Show, Switch, createMemo, createSignal, onCleanup, onMount, type JSX } from "solid-js";

import type { SessionSummary } from "#ui/protocol.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";
import { age } from "#ui/view/duration.ts";
import { Icon } from "#ui/view/Icon.tsx";

import { route, sessionPath } from "../router.ts";
import {
  GROUPS,
  cursor,
  groupOf,
  loadOlder,
  loadingOlder,
  problem,
  refreshSessions,
  sessionTitle,
  sessions,
} from "../sessions.ts";
import { Problem } from "./Problem.tsx";
import { StateBadge } from "./SessionState.tsx";

const MINUTE_MS = 60_000;

export function SessionList(props: { empty: JSX.Element; compact?: boolean }): JSX.Element {
  const [now, setNow] = createSignal(Date.now());
  const refresh = () => {
    if (document.visibilityState !== "visible") return;
    setNow(Date.now());
    void refreshSessions();
  };
  onMount(() => {
    void refreshSessions();
    window.addEventListener("focus", refresh);
    document.addEventListener("visibilitychange", refresh);
    // Ages on the page; nothing is asked for.
    const timer = setInterval(() => setNow(Date.now()), MINUTE_MS);
    onCleanup(() => {
      window.removeEventListener("focus", refresh);
      document.removeEventListener("visibilitychange", refresh);
      clearInterval(timer);
    });
  });
  const groups = createMemo(() => {
    const all = [...(sessions() ?? [])].sort((a, b) => b.updated_at - a.updated_at);
    return GROUPS.map((name) => ({ name, members: all.filter((session) => groupOf(session) === name) })).filter(
      (group) => group.members.length > 0,
    );
  });
  return (
    <nav class="session-list" classList={{ compact: props.compact ?? false }} aria-label="Sessions">
      <Show when={problem()}>
        {(message) => <Problem message={message()} retry={() => void refreshSessions()} />}
      </Show>
      <Switch>
        <Match when={sessions()?.length === 0}>{props.empty}</Match>
        <Match when={sessions()}>
          <For each={groups()}>
            {(group) => (
              <section>
                <h2 class="group">
                  {group.name} <span class="quiet">{group.members.length}</span>
                </h2>
                <ul>
                  <For each={group.members}>{(session) => <Entry session={session} now={now()} />}</For>
                </ul>
              </section>
            )}
          </For>
          <Show when={cursor()}>
            <button class="button older" disabled={loadingOlder()} onClick={() => void loadOlder()}>
              {loadingOlder() ? "Loading…" : "Show older"}
            </button>
          </Show>
        </Match>
        <Match when={problem() === undefined}>
          <div class="skeletons" aria-busy="true">
            <span class="unseen">Loading sessions</span>
            <For each={[1, 2, 3, 4]}>{() => <div class="skeleton" />}</For>
          </div>
        </Match>
      </Switch>
    </nav>
  );
}

function Entry(props: { session: SessionSummary; now: number }): JSX.Element {
  const here = () => {
    const at = route();
    return at.page === "session" && at.id === props.session.id;
  };
  return (
    <li>
      <a class="entry" href={sessionPath(props.session.id)} aria-current={here() ? "page" : undefined}>
        <span class="entry-title">{sessionTitle(props.session)}</span>
        <span class="entry-meta">
          <StateBadge state={props.session.state} />
          <span class="entry-repository">{props.session.repository}</span>
          <Show when={props.session.pull_requests.at(-1)}>
            {(pull) => (
              <span class="entry-pull">
                <Icon name="pull" />#{pull().number}
              </span>
            )}
          </Show>
        </span>
        <span class="entry-side">
          <span class="entry-age">
            <time datetime={new Date(props.session.updated_at).toISOString()}>{age(props.session.updated_at, props.now)}</time>
          </span>
          <span class="entry-author">
            <Avatar person={props.session.created_by} size="small" />
            <span class="unseen">by {displayName(props.session.created_by)}</span>
          </span>
        </span>
      </a>
    </li>
  );
}
