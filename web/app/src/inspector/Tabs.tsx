/** A row of tabs: arrows, Home and End move along it, as everywhere. */
import { For, Show, createEffect, on, type JSX } from "solid-js";

import { Icon, type IconName } from "#ui/view/Icon.tsx";

export interface Tab<Name extends string> {
  readonly name: Name;
  readonly label: string;
  readonly icon: IconName;
  /** A number beside the label, when there is anything to count. */
  readonly count?: number;
}

export function Tabs<Name extends string>(props: {
  label: string;
  tabs: readonly Tab<Name>[];
  selected: Name;
  onSelect: (name: Name) => void;
}): JSX.Element {
  let list!: HTMLDivElement;
  const keyDown = (event: KeyboardEvent) => {
    const last = props.tabs.length - 1;
    const at = props.tabs.findIndex(({ name }) => name === props.selected);
    const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    const tab = next === undefined ? undefined : props.tabs[next];
    if (!tab) return;
    event.preventDefault();
    props.onSelect(tab.name);
    list.querySelector<HTMLElement>(`#tab-${tab.name}`)?.focus();
  };
  // On a phone the row is longer than the screen.
  createEffect(
    on(() => props.selected, (name) => {
      const tab = list.querySelector<HTMLElement>(`#tab-${name}`);
      if (tab) list.scrollLeft = tab.offsetLeft - (list.clientWidth - tab.offsetWidth) / 2;
    }),
  );
  return (
    <div class="tabs" role="tablist" aria-label={props.label} ref={list} onKeyDown={keyDown}>
      <For each={props.tabs}>
        {(tab) => (
          <button
            id={`tab-${tab.name}`}
            class="tab"
            role="tab"
            aria-selected={props.selected === tab.name}
            aria-controls={`panel-${tab.name}`}
            tabindex={props.selected === tab.name ? 0 : -1}
            onClick={() => props.onSelect(tab.name)}
          >
            <Icon name={tab.icon} />
            <span>{tab.label}</span>
            <Show when={tab.count}>{(count) => <span class="tab-count">{count()}</span>}</Show>
          </button>
        )}
      </For>
    </div>
  );
}
