/** Which page is shown, and what every page has. */
import { For, Match, Suspense, Switch, createEffect, lazy, onMount, type JSX } from "solid-js";

import { Icon, Spinner } from "#ui/view/Icon.tsx";

import { Problem } from "./components/Problem.tsx";
import { loadMe, signIn } from "./me.ts";
import { dismiss, notices } from "./notices.ts";
import { MissingPage } from "./pages/MissingPage.tsx";
import { NewSessionPage } from "./pages/NewSessionPage.tsx";
import { SessionsPage } from "./pages/SessionsPage.tsx";
import { SignInPage } from "./pages/SignInPage.tsx";
import { navigate, route, type Route } from "./router.ts";

// Markdown and its sanitiser come with the one page that needs them.
const SessionPage = lazy(() => import("./pages/SessionPage.tsx"));

export function App(): JSX.Element {
  onMount(() => void loadMe());
  createEffect(() => {
    const at = route();
    if (at.page === "signin" && signIn().phase === "in") navigate(at.returnTo, "replace");
  });
  const as = <P extends Route["page"]>(page: P) => {
    const at = route();
    return at.page === page ? (at as Extract<Route, { page: P }>) : undefined;
  };
  const person = () => {
    const state = signIn();
    return state.phase === "in" ? state.person : undefined;
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
        <Match when={person()}>
          {(me) => (
            <Suspense fallback={<Loading />}>
              <Switch fallback={<MissingPage me={me()} />}>
                <Match when={as("sessions")}>
                  <SessionsPage me={me()} />
                </Match>
                <Match when={as("new")}>
                  <NewSessionPage me={me()} />
                </Match>
                <Match when={as("session")?.id} keyed>
                  {(id) => <SessionPage me={me()} id={id} />}
                </Match>
              </Switch>
            </Suspense>
          )}
        </Match>
        <Match when={true}>
          <Loading />
        </Match>
      </Switch>
      <Notices />
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
    <div class="notices" role="alert">
      <For each={notices()}>
        {(notice) => (
          <p class="notice">
            <span>{notice.message}</span>
            <button class="icon-button" aria-label="Dismiss" onClick={() => dismiss(notice.id)}>
              <Icon name="cross" />
            </button>
          </p>
        )}
      </For>
    </div>
  );
}
