import { For, type JSX, type ParentProps } from "solid-js";

import type { Person } from "#ui/protocol.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";
import { Icon } from "#ui/view/Icon.tsx";

import { messageOf } from "../api.ts";
import { APPEARANCES, appearance, setAppearance } from "../appearance.ts";
import { signOut } from "../me.ts";
import { notify } from "../notices.ts";
import { Menu } from "./Menu.tsx";

/** The bar above every page; what a page adds stands in its middle. */
export function TopBar(props: ParentProps<{ me: Person }>): JSX.Element {
  return (
    <header class="top-bar">
      <a class="brand" href="/" aria-label="Hosted agents: all sessions">
        <Mark />
        <span class="brand-name">Hosted agents</span>
      </a>
      <div class="top-middle">{props.children}</div>
      <Menu label="Account and appearance" button={<Avatar person={props.me} />}>
        <p class="menu-head">
          <strong>{displayName(props.me)}</strong>
          <span class="quiet">@{props.me.login}</span>
        </p>
        <div class="segments" role="group" aria-label="Appearance">
          <For each={APPEARANCES}>
            {(name) => (
              <button aria-pressed={appearance() === name} onClick={() => setAppearance(name)}>
                {name.charAt(0).toUpperCase() + name.slice(1)}
              </button>
            )}
          </For>
        </div>
        <button
          class="menu-item"
          onClick={() => signOut().catch((error: unknown) => notify(messageOf(error)))}
        >
          Sign out
        </button>
      </Menu>
    </header>
  );
}

export function NewSessionLink(): JSX.Element {
  return (
    <a class="button primary" href="/new">
      <Icon name="plus" /> New session
    </a>
  );
}

export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" />
      <path d="m9 11 5 5-5 5m8 0h6" />
    </svg>
  );
}
