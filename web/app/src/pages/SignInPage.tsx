import { Show, onMount, type JSX } from "solid-js";

import { Icon } from "#ui/view/Icon.tsx";

import { Mark } from "../components/TopBar.tsx";
import { title } from "../router.ts";

/** What the sign-in says when it sends people back here (`auth::sign_in` of the Worker). */
const REASONS: Record<string, string> = {
  denied: "GitHub was not allowed to tell who you are, so nobody was signed in.",
  expired: "That sign-in took too long or was started in another window. Start again.",
  not_allowed: "This account may not use this deployment. Ask an administrator.",
  refused: "GitHub did not accept the sign-in. Start again.",
};

export function SignInPage(props: { error: string | undefined; returnTo: string }): JSX.Element {
  onMount(title(() => "Sign in"));
  const reason = () =>
    props.error === undefined ? undefined : (REASONS[props.error] ?? "Signing in did not work. Start again.");
  return (
    <main class="centre sign-in">
      <div class="sign-in-box">
        <Mark />
        <h1>Hosted agents</h1>
        <p class="quiet">Give a coding agent a task. Watch it work, join in, and review the pull request.</p>
        <Show when={reason()}>
          {(text) => (
            <p class="callout bad" role="alert">
              <Icon name="warning" /> {text()}
            </p>
          )}
        </Show>
        <form method="get" action="/auth/github/login">
          <Show when={props.returnTo !== "/"}>
            <input type="hidden" name="return_to" value={props.returnTo} />
          </Show>
          <button class="button primary wide" type="submit">
            <GitHubMark /> Sign in with GitHub
          </button>
        </form>
        <p class="small quiet">You see the repositories that you can see on GitHub, and nothing else.</p>
      </div>
    </main>
  );
}

function GitHubMark(): JSX.Element {
  return (
    <svg class="github-mark" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M8 0C3.58 0 0 3.58 0 8c0 3.54 2.29 6.53 5.47 7.59.4.07.55-.17.55-.38 0-.19-.01-.82-.01-1.49-2.01.37-2.53-.49-2.69-.94-.09-.23-.48-.94-.82-1.13-.28-.15-.68-.52-.01-.53.63-.01 1.08.58 1.23.82.72 1.21 1.87.87 2.33.66.07-.52.28-.87.51-1.07-1.78-.2-3.64-.89-3.64-3.95 0-.87.31-1.59.82-2.15-.08-.2-.36-1.02.08-2.12 0 0 .67-.21 2.2.82.64-.18 1.32-.27 2-.27s1.36.09 2 .27c1.53-1.04 2.2-.82 2.2-.82.44 1.1.16 1.92.08 2.12.51.56.82 1.27.82 2.15 0 3.07-1.87 3.75-3.65 3.95.29.25.54.73.54 1.48 0 1.07-.01 1.93-.01 2.2 0 .21.15.46.55.38A8.01 8.01 0 0 0 16 8c0-4.42-3.58-8-8-8" />
    </svg>
  );
}
