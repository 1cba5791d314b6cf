/** Which page is shown, and what every page has. */
import { For, Match, Show, Suspense, Switch, createEffect, lazy, onMount, type JSX } from "solid-js";

import type { Me } from "#ui/protocol.ts";
import { Icon, Spinner } from "#ui/view/Icon.tsx";

import { OfflineBanner } from "./components/OfflineBanner.tsx";
import { Overlays } from "./components/Overlays.tsx";
import { Problem } from "./components/Problem.tsx";
import { createLobby } from "./lobby.ts";
import { loadMe, signIn } from "./me.ts";
import { dismiss, notices } from "./notices.ts";
import { MissingPage } from "./pages/MissingPage.tsx";
import { SessionsPage } from "./pages/SessionsPage.tsx";
import { SignInPage } from "./pages/SignInPage.tsx";
import { navigate, route, type Route } from "./router.ts";

// Each page comes when it is opened: Markdown and its sanitiser, charts and forms are needed by one.
const SessionPage = lazy(() => import("./pages/SessionPage.tsx"));
const NewSessionPage = lazy(() => import("./pages/NewSessionPage.tsx"));
const StatisticsPage = lazy(() => import("./pages/StatisticsPage.tsx"));
const SettingsPage = lazy(() => import("./pages/SettingsPage.tsx"));

export function App(): JSX.Element {
  onMount(() => void loadMe());
  createEffect(() => {
    const at = route();
    if (at.page === "signin" && signIn().phase === "in") navigate(at.returnTo, "replace");
  });
  const me = () => {
    const state = signIn();
    return state.phase === "in" ? state.me : undefined;
  };
  const failure = () => {
    const state = signIn();
    return state.phase === "failed" ? state.message : undefined;
  };
  return (
    <>
      <Switch>
        <Match when={as("signin")}>{(at) => <SignInPage error={at().error} returnTo={at().returnTo} />}</Match>
        <Match when={failure()}>
          {(message) => (
            <main class="centre">
              <Problem message={message()} retry={() => void loadMe()} />
            </main>
          )}
        </Match>
        <Match when={me()}>{(known) => <Pages me={known()} />}</Match>
        <Match when={true}>
          <Loading />
        </Match>
      </Switch>
      <Notices />
    </>
  );
}

const as = <P extends Route["page"]>(page: P) => {
  const at = route();
  return at.page === page ? (at as Extract<Route, { page: P }>) : undefined;
};

/** What somebody who is signed in sees, and what runs for as long as they are. */
function Pages(props: { me: Me }): JSX.Element {
  const me = () => props.me.person;
  createLobby(me());
  return (
    <>
      <Suspense fallback={<Loading />}>
        <Switch fallback={<MissingPage me={me()} />}>
          <Match when={as("sessions")}>
            <SessionsPage me={me()} />
          </Match>
          <Match when={as("new")}>{(at) => <NewSessionPage me={me()} repository={at().repository} />}</Match>
          <Match when={as("session")?.id} keyed>
            {(id) => <SessionPage me={me()} id={id} />}
          </Match>
          <Match when={as("statistics")}>
            {(at) => <StatisticsPage me={me()} days={at().days} repository={at().repository} />}
          </Match>
          <Match when={as("settings")}>
            {(at) => <SettingsPage me={props.me} section={at().section} repository={at().repository} />}
          </Match>
        </Switch>
      </Suspense>
      <Overlays />
      <OfflineBanner />
    </>
  );
}

function Loading(): JSX.Element {
  return (
    <main class="centre" aria-busy="true">
      <Spinner />
      <span class="unseen">Loading</span>
    </main>
  );
}

function Notices(): JSX.Element {
  return (
    <div class="notices" role="status">
      <For each={notices()}>
        {(notice) => (
          <div class={`notice ${notice.kind ?? "problem"}`}>
            <p>{notice.message}</p>
            <Show when={notice.action}>
              {(action) => (
                <button
                  class="button"
                  onClick={() => {
                    dismiss(notice.id);
                    action().run();
                  }}
                >
                  {action().label}
                </button>
              )}
            </Show>
            <button class="icon-button" aria-label="Dismiss" onClick={() => dismiss(notice.id)}>
              <Icon name="cross" />
            </button>
          </div>
        )}
      </For>
    </div>
  );
}
