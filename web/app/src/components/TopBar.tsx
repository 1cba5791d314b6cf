import { For, Show, type JSX, type ParentProps } from "solid-js";

import type { Person } from "#ui/protocol.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";
import { Icon } from "#ui/view/Icon.tsx";

import { messageOf } from "../api.ts";
import { APPEARANCES, appearance, setAppearance } from "../appearance.ts";
import { signOut } from "../me.ts";
import { notify } from "../notices.ts";
import { route, type Route } from "../router.ts";
import { openOverlay } from "./Overlays.tsx";
import { Menu } from "./Menu.tsx";

const PLACES: readonly { page: Route["page"]; href: string; label: string }[] = [
  { page: "sessions", href: "/", label: "Sessions" },
  { page: "statistics", href: "/statistics", label: "Statistics" },
  { page: "settings", href: "/settings", label: "Settings" },
];

/** The bar above every page; what a page adds stands in its middle, instead of the way to the others. */
export function TopBar(props: ParentProps<{ me: Person }>): JSX.Element {
  return (
    <header class="top-bar">
      <a class="brand" href="/" aria-label="Hosted agents: all sessions">
        <Mark />
        <span class="brand-name">Hosted agents</span>
      </a>
      <div class="top-middle">
        <Show when={props.children} fallback={<Places />}>
          {props.children}
        </Show>
      </div>
      <button class="icon-button" aria-label="Search and commands" title="Search and commands" onClick={() => openOverlay("palette")}>
        <Icon name="search" />
      </button>
      <Menu label="Account and appearance" button={<Avatar person={props.me} />}>
        <p class="menu-head">
          <strong>{displayName(props.me)}</strong>
          <span class="quiet">@{props.me.login}</span>
        </p>
        <For each={PLACES}>
          {(place) => (
            <a class="menu-item" href={place.href}>
              {place.label}
            </a>
          )}
        </For>
        <button class="menu-item" onClick={() => openOverlay("shortcuts")}>
          Keyboard shortcuts
        </button>
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

function Places(): JSX.Element {
  return (
    <nav class="places" aria-label="Pages">
      <For each={PLACES}>
        {(place) => (
          <a href={place.href} aria-current={route().page === place.page ? "page" : undefined}>
            {place.label}
          </a>
        )}
      </For>
    </nav>
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
