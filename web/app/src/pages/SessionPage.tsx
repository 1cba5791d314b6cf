import { Match, Show, Switch, createEffect, createMemo, createSignal, on, onCleanup, type JSX } from "solid-js";

import { createSessionClient } from "#ui/client.ts";
import { requestId } from "#ui/outbox.ts";
import type { Person, SessionId, SessionState } from "#ui/protocol.ts";
import { SurroundingsContext, type Surroundings } from "#ui/view/context.ts";
import { Icon, Spinner } from "#ui/view/Icon.tsx";
import { webAddress } from "#ui/view/Row.tsx";
import { TimelineView } from "#ui/view/TimelineView.tsx";

import { api, artifactPath, messageOf, socketPath } from "../api.ts";
import { followPrompts } from "../first-prompt.ts";
import { Composer } from "../components/Composer.tsx";
import { LinkState } from "../components/LinkState.tsx";
import { Menu } from "../components/Menu.tsx";
import { openOverlay } from "../components/Overlays.tsx";
import { Presence, Typing } from "../components/Presence.tsx";
import { Queue } from "../components/Queue.tsx";
import { SessionList } from "../components/SessionList.tsx";
import { SessionTitle, createNaming, startRenaming } from "../components/SessionTitle.tsx";
import { StateBadge } from "../components/SessionState.tsx";
import { NewSessionLink, TopBar } from "../components/TopBar.tsx";
import { Inspector, type PanelName } from "../inspector/Inspector.tsx";
import { notify } from "../notices.ts";
import { sessionParts } from "../session-api.ts";
import { navigate, sessionPath, title } from "../router.ts";
import { knownSession, refreshSessions, sessionTitle } from "../sessions.ts";
import { draftKey } from "../storage.ts";

/** Where nobody has asked for anything yet. */
const EMPTY: Partial<Record<SessionState, string>> = {
  warming: "A sandbox is being made ready. Say what should be done.",
  archived: "Nothing was asked for here.",
};

export default function SessionPage(props: { me: Person; id: SessionId }): JSX.Element {
  const { me, id } = props;
  const client = createSessionClient({
    me,
    path: socketPath(id),
    ticket: () => api.ticket(id),
    page: (before) => sessionParts.events(id, before),
    complaint: ({ message }) => notify(message),
  });
  followPrompts(id, client);
  const { store } = client;
  const timeline = store.timeline;
  const summary = () => store.summary() ?? knownSession(id);
  const naming = createNaming(id, () => timeline().title() ?? (summary() ? sessionTitle(summary() ?? { title: "" }) : ""));
  const { name } = naming;
  const [opened, setOpened] = createSignal(false);
  createEffect(() => store.synced() && setOpened(true));
  const state = () => (opened() ? timeline().state() : summary()?.state);
  const pull = () => timeline().pullRequest() ?? summary()?.pull_requests.at(-1);
  const refused = () => {
    const link = client.link();
    return link.phase === "refused" ? link.message : undefined;
  };
  // Beside the timeline where there is room, else a sheet over it.
  const [inspecting, setInspecting] = createSignal(matchMedia("(min-width: 1181px)").matches);
  const inspector = () => inspecting() && refused() === undefined;
  const [panel, setPanel] = createSignal<PanelName>("details");
  const turns = createMemo(() =>
    [...store.past(), timeline()].flatMap((piece) =>
      piece.items().flatMap((item) => (item.kind === "turn" ? [item.turn] : [])),
    ),
  );

  createEffect(title(name));
  // The list beside shows this session too.
  createEffect(on([() => opened() && timeline().state(), name, () => pull()?.number], () => void refreshSessions(), { defer: true }));

  const attempt = async (change: Promise<void>) => {
    try {
      await change;
    } catch (error) {
      notify(messageOf(error));
    }
  };

  let forking = false;
  const surroundings: Surroundings = {
    file: (artifact) => artifactPath(id, artifact),
    session: sessionPath,
    fork: (prompt) => {
      if (forking) return;
      forking = true;
      const fork = async () => {
        const { id: forked } = await api.fork(id, { prompt, client_request_id: requestId() });
        void refreshSessions();
        navigate(sessionPath(forked));
      };
      void attempt(fork()).finally(() => (forking = false));
    },
  };

  return (
    <div class="page session-page">
      <TopBar me={me}>
        <div class="session-head">
          <a class="icon-button back" href="/" aria-label="All sessions">
            <Icon name="back" />
          </a>
          <div class="session-name">
            <SessionTitle id={id} naming={naming} fixed={state() === "archived" || refused() !== undefined} />
            <p class="session-meta">
              <Show when={state()}>{(is) => <StateBadge state={is()} />}</Show>
              <Show when={summary()}>
                {(known) => (
                  <>
                    <span class="quiet">{known().repository}</span>
                    <span class="quiet session-branch">{known().branch}</span>
                  </>
                )}
              </Show>
            </p>
          </div>
          <Presence participants={store.participants()} />
          <Show when={pull()}>
            {(request) => (
              <a class="button pull-link" href={webAddress(request().url)} target="_blank" rel="noopener noreferrer">
                <Icon name="pull" /> <span class="pull-word">Pull request </span>#{request().number}
              </a>
            )}
          </Show>
          <button
            class="icon-button"
            aria-label="Inspector"
            title="Changes, pull requests, terminal, waterfall, details"
            aria-expanded={inspector()}
            onClick={() => setInspecting(!inspecting())}
          >
            <Icon name="panel" />
          </button>
          <Menu label="More" button={<Icon name="more" />}>
            <button class="menu-item" onClick={() => openOverlay("palette")}>
              Search and commands
            </button>
            <button class="menu-item" disabled={state() === "archived"} onClick={() => startRenaming(id)}>
              Rename session
            </button>
            <button
              class="menu-item"
              disabled={state() === "archived"}
              onClick={() => void attempt(api.archiveSession(id))}
            >
              Archive session
            </button>
          </Menu>
        </div>
      </TopBar>
      <div class="session-body" classList={{ inspecting: inspector(), wide: inspector() && (panel() === "changes" || panel() === "terminal") }}>
        <aside class="sidebar">
          <NewSessionLink />
          <SessionList compact empty={<p class="quiet">No sessions yet.</p>} />
        </aside>
        <main class="session-main">
          <LinkState link={client.link()} />
          <Switch
            fallback={
              <div class="centre" aria-busy="true">
                <Spinner />
                <span class="unseen">Loading the session</span>
              </div>
            }
          >
            <Match when={refused()}>
              {(message) => (
                <div class="centre">
                  <div class="problem">
                    <h2>This session cannot be opened</h2>
                    <p>{message()}</p>
                    <a class="button" href="/">
                      All sessions
                    </a>
                  </div>
                </div>
              )}
            </Match>
            <Match when={opened()}>
              <SurroundingsContext.Provider value={surroundings}>
                <TimelineView
                  timeline={timeline()}
                  past={{
                    get pieces() {
                      return store.past();
                    },
                    get complete() {
                      return store.complete();
                    },
                    get state() {
                      return client.past();
                    },
                    load: client.loadPast,
                  }}
                  empty={<p class="row">{EMPTY[state() ?? "idle"] ?? "Say what should be done."}</p>}
                />
              </SurroundingsContext.Provider>
            </Match>
          </Switch>
          <Show when={refused() === undefined}>
            <div class="dock">
              <Typing people={client.typing()} />
              <Queue id={id} client={client} />
              <Show
                when={state() !== "archived"}
                fallback={<p class="row archived-note">This session is archived. Start a new one to go on.</p>}
              >
                <Composer
                  draft={draftKey(id)}
                  label="Prompt"
                  placeholder={timeline().running() ? "Add to the queue…" : "What next?"}
                  action={state() === "working" ? "Queue" : "Send"}
                  rows={1}
                  onTyped={() => client.typed()}
                  upload={api.upload(id)}
                  onSubmit={(text, attachments) => {
                    client.send(text, "queue", attachments);
                    return true;
                  }}
                  beside={<StopButton id={id} visible={timeline().running() !== undefined} />}
                />
              </Show>
            </div>
          </Show>
        </main>
        <SurroundingsContext.Provider value={surroundings}>
          <Inspector
            id={id}
            me={me}
            client={client}
            summary={summary()}
            archived={state() === "archived"}
            turns={turns()}
            open={inspector()}
            selected={panel()}
            show={setPanel}
            onClose={() => setInspecting(false)}
          />
        </SurroundingsContext.Provider>
      </div>
    </div>
  );
}

/** How soon the second Esc has to follow. */
const TWICE_MS = 1_500;

function StopButton(props: { id: SessionId; visible: boolean }): JSX.Element {
  const [stopping, setStopping] = createSignal(false);
  const [warned, setWarned] = createSignal(false);
  createEffect(() => {
    if (props.visible) return;
    setStopping(false);
    setWarned(false);
  });
  const stop = async () => {
    setWarned(false);
    setStopping(true);
    try {
      await api.stop(props.id);
    } catch (error) {
      setStopping(false);
      notify(messageOf(error));
    }
  };
  // What something else takes Esc for, it takes it for alone.
  let timer: ReturnType<typeof setTimeout> | undefined;
  const keyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.defaultPrevented || event.isComposing || event.repeat) return;
    const elsewhere = event.target instanceof Element && event.target.closest(".menu, .queued-edit, .inspector, dialog");
    if (!props.visible || stopping() || elsewhere) return;
    if (warned()) {
      void stop();
      return;
    }
    setWarned(true);
    clearTimeout(timer);
    timer = setTimeout(() => setWarned(false), TWICE_MS);
  };
  document.addEventListener("keydown", keyDown);
  onCleanup(() => {
    clearTimeout(timer);
    document.removeEventListener("keydown", keyDown);
  });
  return (
    <Show when={props.visible}>
      <button class="button stop" type="button" disabled={stopping()} title="Stop (Esc Esc)" onClick={() => void stop()}>
        <Icon name="stop" /> {stopping() ? "Stopping…" : warned() ? "Esc again to stop" : "Stop"}
      </button>
    </Show>
  );
}
