/** Rows of bars, each with its name and its value in words beside it. */
import { For, Index, Show, type JSX } from "solid-js";

export interface Row {
  readonly name: string;
  readonly note?: string;
  /** From 0 to 1 each, the first above the second. */
  readonly bars: readonly { readonly part: number; readonly words: string; readonly class?: string }[];
}

export function Bars(props: { rows: readonly Row[]; label: string }): JSX.Element {
  return (
    <ul class="bars" aria-label={props.label}>
      <For each={props.rows}>
        {(row) => (
          <li>
            <span class="bars-name">
              {row.name}
              <Show when={row.note}>
                <span class="quiet"> {row.note}</span>
              </Show>
            </span>
            <Index each={row.bars}>
              {(bar) => (
                <span class="bars-line">
                  <svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
                    <rect class="track" width="100" height="1" />
                    <rect class={bar().class ?? "first"} width={Math.max(0, Math.min(1, bar().part)) * 100} height="1" />
                  </svg>
                  <span class="bars-words">{bar().words}</span>
                </span>
              )}
            </Index>
          </li>
        )}
      </For>
    </ul>
  );
}
