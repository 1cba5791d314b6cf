import { onMount, type JSX } from "solid-js";

import type { Person } from "#ui/protocol.ts";

import { TopBar } from "../components/TopBar.tsx";
import { title } from "../router.ts";

export function MissingPage(props: { me: Person }): JSX.Element {
  onMount(title(() => "Not found"));
  return (
    <div class="page">
      <TopBar me={props.me} />
      <main class="centre">
        <MissingNote />
      </main>
    </div>
  );
}

export function MissingNote(): JSX.Element {
  return (
    <div class="problem">
      <h2>There is nothing here</h2>
      <p class="quiet">The address may be mistyped.</p>
      <a class="button" href="/">
        All sessions
      </a>
    </div>
  );
}
