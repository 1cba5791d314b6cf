import { For, type JSX } from "solid-js";

import { Icon } from "#ui/view/Icon.tsx";

import { SHORTCUTS, keySigns, type ShortcutName } from "../shortcuts.ts";
import { Dialog } from "./Dialog.tsx";

const NAMES = Object.keys(SHORTCUTS) as ShortcutName[];
const PLACES = ["Everywhere", "Writing", "In a session"] as const;

export default function ShortcutHelp(props: { close: () => void }): JSX.Element {
  return (
    <Dialog label="Keyboard shortcuts" class="help" onClose={props.close}>
      <div class="dialog-head">
        <h2>Keyboard shortcuts</h2>
        <button class="icon-button" aria-label="Close" onClick={() => props.close()}>
          <Icon name="cross" />
        </button>
      </div>
      <ShortcutList />
    </Dialog>
  );
}

export function ShortcutList(): JSX.Element {
  return (
    <For each={PLACES}>
      {(place) => (
        <section class="shortcuts">
          <h3>{place}</h3>
          <dl>
            <For each={NAMES.filter((name) => SHORTCUTS[name].where === place)}>
              {(name) => (
                <div>
                  <dt>{SHORTCUTS[name].label}</dt>
                  <dd>
                    <For each={keySigns(name)}>{(sign) => <kbd>{sign}</kbd>}</For>
                  </dd>
                </div>
              )}
            </For>
          </dl>
        </section>
      )}
    </For>
  );
}
