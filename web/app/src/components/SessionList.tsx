/** Sessions by what they need, the newest change first. The same list is a page and a sidebar. */
import { For, Match, Show, Switch, createMemo, createSignal, onCleanup, onMount, type JSX } from "solid-js";

import type { PullRequest, SessionSummary } from "#ui/protocol.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";
import { age } from "#ui/view/duration.ts";
import { Icon, Spinner } from "#ui/view/Icon.tsx";
import { Keyed } from "#ui/view/Keyed.tsx";

import { GROUPS, families, type Member } from "../groups.ts";
import { route, sessionPath } from "../router.ts";
import {
  cursor,
  filter,
  loadOlder,
  loadingOlder,
  problem,
  refreshSessions,
  searching,
  sessionTitle,
  sessions,
  showOnly,
} from "../sessions.ts";
import { Problem } from "./Problem.tsx";
import { StateBadge } from "./SessionState.tsx";

const MINUTE_MS = 60_000;
/** From the last keystroke to the question. */
const SEARCH_MS = 250;

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
    const all = families(sessions() ?? []);
    return GROUPS.map((name) => {
      const members = all.filter(({ group }) => group === name).flatMap((family) => family.members);
      return { name, members };
    }).filter(({ members }) => members.length > 0);
  });
  const filtered = () => filter().mine || filter().query !== "";
  return (
    <nav class="session-list" classList={{ compact: props.compact ?? false }} aria-label="Sessions">
      <Show when={filtered() || (sessions()?.length ?? 0) > 0}>
        <ListFilter />
      </Show>
      <Show when={problem()}>
        {(message) => <Problem message={message()} retry={() => void refreshSessions()} />}
      </Show>
      <Switch>
        <Match when={sessions()?.length === 0 && !filtered()}>{props.empty}</Match>
        <Match when={sessions()?.length === 0}>
          <p class="nothing-found quiet">
            {filter().query ? `No session fits “${filter().query}”.` : "You have no sessions here yet."}
          </p>
        </Match>
        <Match when={sessions()}>
          <Keyed each={groups()} by={({ name }) => name}>
            {(group) => (
              <section>
                <h2 class="group">
                  {group().name} <span class="quiet">{group().members.length}</span>
                </h2>
                <ul>
                  <Keyed each={group().members} by={({ session }) => session.id} same={isSame}>
                    {(member) => <Entry session={member().session} depth={member().depth} now={now()} />}
                  </Keyed>
                </ul>
              </section>
            )}
          </Keyed>
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

const isSame = (one: Member, other: Member): boolean => one.session === other.session && one.depth === other.depth;

function ListFilter(): JSX.Element {
  let waiting: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(waiting));
  const search = (text: string) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => showOnly({ query: text.trim() }), SEARCH_MS);
  };
  return (
    <div class="list-filter" role="search">
      <label class="search-field">
        <Show when={searching()} fallback={<Icon name="search" />}>
          <Spinner />
        </Show>
        <input
          type="search"
          class="list-search"
          aria-label="Search sessions"
          placeholder="Search"
          autocomplete="off"
          spellcheck={false}
          value={filter().query}
          onInput={(event) => search(event.currentTarget.value)}
        />
      </label>
      <div class="segments" role="group" aria-label="Whose sessions">
        <button aria-pressed={!filter().mine} onClick={() => showOnly({ mine: false })}>
          Everybody’s
        </button>
        <button aria-pressed={filter().mine} onClick={() => showOnly({ mine: true })}>
          Mine
        </button>
      </div>
    </div>
  );
}

function Entry(props: { session: SessionSummary; depth: number; now: number }): JSX.Element {
  const here = () => {
    const at = route();
    return at.page === "session" && at.id === props.session.id;
  };
  const unread = () => props.session.unread === true && !here();
  return (
    <li classList={{ child: props.depth > 0, [`depth-${props.depth}`]: props.depth > 0 }}>
      <a
        class="entry"
        classList={{ unread: unread() }}
        href={sessionPath(props.session.id)}
        aria-current={here() ? "page" : undefined}
      >
        <span class="entry-title">
          <Show when={props.depth > 0}>
            <Icon name="fork" class="entry-fork" />
            <span class="unseen">Fork: </span>
          </Show>
          <span class="entry-name" dir="auto">{sessionTitle(props.session)}</span>
          <Show when={unread()}>
            <span class="unread-dot">
              <span class="unseen">Unread</span>
            </span>
          </Show>
        </span>
        <span class="entry-meta">
          <StateBadge state={props.session.state} />
          <Show when={props.session.paused}>
            <span class="entry-paused">
              <Icon name="pause" /> Paused
            </span>
          </Show>
          <span class="entry-repository">{props.session.repository}</span>
          <Show when={props.session.pull_requests.at(-1)}>{(pull) => <PullState pull={pull()} />}</Show>
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

/** How a pull request stands: its own state, then what reviews and checks say while it is open. */
function PullState(props: { pull: PullRequest }): JSX.Element {
  const standing = (): { class: string; words: string } => {
    const { state, review, checks } = props.pull;
    if (state !== "open" && state !== "draft") return { class: state, words: state };
    if (checks === "failed") return { class: "wants-work", words: "checks failed" };
    if (review === "changes_requested") return { class: "wants-work", words: "changes requested" };
    if (review === "approved") return { class: "approved", words: "approved" };
    return { class: state, words: state };
  };
  return (
    <span class={`entry-pull ${standing().class}`} title={`Pull request #${props.pull.number}: ${standing().words}`}>
      <Icon name={props.pull.state === "merged" ? "merge" : "pull"} />#{props.pull.number}
      <span class="pull-words">{standing().words}</span>
    </span>
  );
}
