import { onMount, type JSX } from "solid-js";

import type { Person } from "#ui/protocol.ts";
import { Icon } from "#ui/view/Icon.tsx";

import { SessionList } from "../components/SessionList.tsx";
import { NewSessionLink, TopBar } from "../components/TopBar.tsx";
import { title } from "../router.ts";

export function SessionsPage(props: { me: Person }): JSX.Element {
  onMount(title(() => "Sessions"));
  return (
    <div class="page">
      <TopBar me={props.me} />
      <main class="column">
        <div class="page-head">
          <h1>Sessions</h1>
          <NewSessionLink />
        </div>
        <SessionList
          empty={
            <div class="empty">
              <Icon name="spark" />
              <h2>No sessions yet</h2>
              <p class="quiet">
                Pick a repository, say what should be done, and the agent starts on a branch of its own. Everybody with
                access to the repository can join in.
              </p>
              <a class="button primary" href="/new">
                Start the first session
              </a>
            </div>
          }
        />
      </main>
    </div>
  );
}
