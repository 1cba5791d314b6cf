/** One choice out of many, found by typing (the ARIA combobox pattern). */
import { For, Show, createMemo, createSignal, createUniqueId, onCleanup, type JSX } from "solid-js";

import { Icon, Spinner, type IconName } from "#ui/view/Icon.tsx";

import { rank } from "../fuzzy.ts";

export interface Choice {
  readonly value: string;
  /** The value itself if absent. */
  readonly label?: string;
  readonly icon?: IconName | undefined;
  /** How ready it is, or what else there is to know before choosing. */
  readonly detail?: string | undefined;
}

/** More than this is not read but searched. */
const SHOWN = 50;
const ASK_MS = 200;

export function Picker(props: {
  label: string;
  placeholder: string;
  icon: IconName;
  choices: readonly Choice[];
  value: string;
  disabled?: boolean;
  /** The choices are still being asked for. */
  busy?: boolean;
  onChange: (value: string) => void;
  /** The server searches: these are its words, and the choices its answer. */
  onQuery?: (query: string) => void;
  /** What is typed may be chosen though it is not among the choices. */
  free?: boolean;
}): JSX.Element {
  const id = createUniqueId();
  const [query, setQuery] = createSignal<string | undefined>();
  const [active, setActive] = createSignal(0);
  const open = () => query() !== undefined;
  const words = (choice: Choice) => `${choice.label ?? choice.value} ${choice.label ? choice.value : ""}`;
  const found = createMemo((): readonly Choice[] => {
    const typed = (query() ?? "").trim();
    const fits = rank(typed, props.choices, words).slice(0, SHOWN);
    const known = typed === "" || fits.some((choice) => choice.value === typed);
    return props.free && !known ? [...fits, { value: typed, detail: "as typed" }] : fits;
  });
  const shown = () => {
    const choice = props.choices.find(({ value }) => value === props.value);
    return choice?.label ?? props.value;
  };

  let asking: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(asking));
  const ask = (text: string, wait: number) => {
    clearTimeout(asking);
    asking = setTimeout(() => props.onQuery?.(text.trim()), wait);
  };

  const begin = () => {
    if (open()) return;
    setQuery("");
    ask("", 0);
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
      <Show when={props.busy} fallback={<Icon name={props.icon} />}>
        <Spinner />
      </Show>
      <input
        type="text"
        role="combobox"
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        aria-label={props.label}
        aria-expanded={open()}
        aria-controls={`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant={open() && found().length > 0 ? `${id}-${active()}` : undefined}
        placeholder={props.placeholder}
        disabled={props.disabled}
        value={query() ?? shown()}
        onFocus={(event) => {
          event.currentTarget.select();
        }}
        onClick={begin}
        onInput={(event) => {
          setQuery(event.currentTarget.value);
          ask(event.currentTarget.value, ASK_MS);
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
              <Show when={choice.icon}>{(icon) => <Icon name={icon()} />}</Show>
              <span class="choice-label">{choice.label ?? choice.value}</span>
              <Show when={choice.detail}>
                <span class="choice-detail">{choice.detail}</span>
              </Show>
              <Show when={choice.value === props.value}>
                <Icon name="check" />
              </Show>
            </li>
          )}
        </For>
        <Show when={found().length === 0}>
          <li class="quiet" role="option" aria-disabled="true" aria-selected="false">
            {props.busy ? "Looking…" : "Nothing fits"}
          </li>
        </Show>
      </ul>
    </div>
  );
}
