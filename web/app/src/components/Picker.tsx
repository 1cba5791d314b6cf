/** One choice out of many, found by typing (the ARIA combobox pattern). */
import { For, Show, createMemo, createSignal, createUniqueId, type JSX } from "solid-js";

import { Icon, type IconName } from "#ui/view/Icon.tsx";

export interface Choice {
  readonly value: string;
  readonly icon?: IconName | undefined;
}

/** More than this is not read but searched. */
const SHOWN = 50;

export function Picker(props: {
  label: string;
  placeholder: string;
  icon: IconName;
  choices: readonly Choice[];
  value: string;
  disabled?: boolean;
  onChange: (value: string) => void;
}): JSX.Element {
  const id = createUniqueId();
  const [query, setQuery] = createSignal<string | undefined>();
  const [active, setActive] = createSignal(0);
  const open = () => query() !== undefined;
  const found = createMemo(() => {
    const words = (query() ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (choice: Choice) => words.every((word) => choice.value.toLowerCase().includes(word));
    return props.choices.filter(fits).slice(0, SHOWN);
  });

  const begin = () => {
    if (open()) return;
    setQuery("");
    setActive(Math.max(0, found().findIndex((choice) => choice.value === props.value)));
  };
  const choose = (choice: Choice | undefined) => {
    if (choice) props.onChange(choice.value);
    setQuery(undefined);
  };
  const move = (by: number) => {
    const count = found().length;
    if (count > 0) setActive((active() + by + count) % count);
    document.getElementById(`${id}-${active()}`)?.scrollIntoView({ block: "nearest" });
  };
  const keyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape" && open()) setQuery(undefined);
    else if (event.key === "ArrowDown") {
      if (open()) move(1);
      else begin();
    } else if (event.key === "ArrowUp" && open()) move(-1);
    else if (event.key === "Enter" && open() && !event.metaKey && !event.ctrlKey) choose(found()[active()]);
    else return;
    event.preventDefault();
  };

  return (
    <div class="picker">
      <Icon name={props.icon} />
      <input
        type="text"
        role="combobox"
        autocomplete="off"
        spellcheck={false}
        aria-label={props.label}
        aria-expanded={open()}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={open() && found().length > 0 ? `${id}-${active()}` : undefined}
        placeholder={props.placeholder}
        disabled={props.disabled}
        value={query() ?? props.value}
        onFocus={(event) => {
          event.currentTarget.select();
        }}
        onClick={begin}
        onInput={(event) => {
          setQuery(event.currentTarget.value);
          setActive(0);
        }}
        onBlur={() => setQuery(undefined)}
        onKeyDown={keyDown}
      />
      <Icon name="chevron" class="turned" />
      <ul class="picker-list" id={`${id}-list`} role="listbox" aria-label={props.label} hidden={!open()}>
        <For each={found()}>
          {(choice, index) => (
            <li
              id={`${id}-${index()}`}
              role="option"
              aria-selected={index() === active()}
              // Before the field loses the focus and the list goes away.
              onMouseDown={(event) => {
                event.preventDefault();
                choose(choice);
              }}
            >
              <span>{choice.value}</span>
              <Show when={choice.icon}>{(icon) => <Icon name={icon()} />}</Show>
              <Show when={choice.value === props.value}>
                <Icon name="check" />
              </Show>
            </li>
          )}
        </For>
        <Show when={found().length === 0}>
          <li class="quiet" role="option" aria-disabled="true" aria-selected="false">
            Nothing fits
          </li>
        </Show>
      </ul>
    </div>
  );
}
