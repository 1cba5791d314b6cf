/** A chart with what it says in words and, behind it, all of it as a table. */
import { For, type JSX, type ParentProps } from "solid-js";

import { Icon } from "#ui/view/Icon.tsx";

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function Figure(props: ParentProps<{ title: string; note?: JSX.Element; table: Table; class?: string }>): JSX.Element {
  return (
    <figure class={`figure ${props.class ?? ""}`}>
      <figcaption>
        <h2>{props.title}</h2>
        {props.note}
      </figcaption>
      {props.children}
      <details class="figure-table">
        <summary>
          <Icon name="chevron" /> As a table
        </summary>
        {/* Wider than a phone it scrolls, by keys too. */}
        <div class="scroll" tabindex="0" role="region" aria-label={`${props.title} as a table`}>
          <table>
            <thead>
              <tr>
                <For each={props.table.head}>{(name) => <th scope="col">{name}</th>}</For>
              </tr>
            </thead>
            <tbody>
              <For each={props.table.rows}>
                {([first = "", ...rest]) => (
                  <tr>
                    <th scope="row">{first}</th>
                    <For each={rest}>{(cell) => <td>{cell}</td>}</For>
                  </tr>
                )}
              </For>
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
