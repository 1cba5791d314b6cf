/** A list of settings that is asked for: loading, failed, empty, or its rows. */
import { For, Match, Show, Switch, type JSX } from "solid-js";

import { Problem } from "../components/Problem.tsx";
import type { Loaded } from "../loaded.ts";

export function LoadedRows<T>(props: {
  list: Loaded<readonly T[]>;
  /** What is said when there is nothing. */
  empty: string;
  children: (row: T) => JSX.Element;
}): JSX.Element {
  return (
    <>
      <Show when={props.list.problem()}>
        {(message) => <Problem message={message()} retry={() => void props.list.reload()} />}
      </Show>
      <Switch>
        <Match when={props.list.value()?.length === 0}>
          <p class="quiet nothing-found">{props.empty}</p>
        </Match>
        <Match when={props.list.value()}>
          {(all) => (
            <ul class="rows">
              <For each={all()}>{(row) => <li class="row-entry">{props.children(row)}</li>}</For>
            </ul>
          )}
        </Match>
        <Match when={props.list.problem() === undefined}>
          <div class="skeleton" aria-busy="true">
            <span class="unseen">Loading</span>
          </div>
        </Match>
      </Switch>
    </>
  );
}
