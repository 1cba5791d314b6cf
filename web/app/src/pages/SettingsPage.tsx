import { For, Match, Switch, createEffect, type JSX } from "solid-js";

import type { Me, Repository } from "#ui/protocol.ts";
import { Icon, type IconName } from "#ui/view/Icon.tsx";

import { ShortcutList } from "../components/ShortcutHelp.tsx";
import { TopBar } from "../components/TopBar.tsx";
import { settingsPath, title, type SettingsSection } from "../router.ts";
import { Account } from "../settings/Account.tsx";
import { Audit } from "../settings/Audit.tsx";
import { Section } from "../settings/Form.tsx";
import { Integrations } from "../settings/Integrations.tsx";
import { Repositories } from "../settings/Repositories.tsx";
import { RepositorySettings } from "../settings/RepositorySettings.tsx";
import { Tokens } from "../settings/Tokens.tsx";
import { MissingNote } from "./MissingPage.tsx";
import "../styles/settings.css";
// Tables look alike.
import "../styles/statistics.css";

const PLACES: readonly { section: SettingsSection; label: string; icon: IconName; administrators?: boolean }[] = [
  { section: "account", label: "Account", icon: "gear" },
  { section: "repositories", label: "Repositories", icon: "box" },
  { section: "tokens", label: "API tokens", icon: "key" },
  { section: "integrations", label: "Integrations", icon: "puzzle" },
  { section: "shortcuts", label: "Shortcuts", icon: "bolt" },
  { section: "audit", label: "Audit log", icon: "list", administrators: true },
];

export default function SettingsPage(props: {
  me: Me;
  section: SettingsSection;
  repository: Repository | undefined;
}): JSX.Element {
  const administrator = () => props.me.role === "administrator";
  const places = () => PLACES.filter((place) => !place.administrators || administrator());
  createEffect(title(() => props.repository ?? PLACES.find(({ section }) => section === props.section)?.label));
  return (
    <div class="page">
      <TopBar me={props.me.person} />
      <div class="settings">
        <nav class="settings-nav" aria-label="Settings">
          <For each={places()}>
            {(place) => (
              <a
                href={settingsPath(place.section)}
                // On a phone they stand in a row that is wider than the screen.
                ref={(link) =>
                  createEffect(() => {
                    if (place.section === props.section) link.scrollIntoView({ block: "nearest", inline: "center" });
                  })
                }
                aria-current={place.section === props.section ? "page" : undefined}
              >
                <Icon name={place.icon} /> {place.label}
              </a>
            )}
          </For>
        </nav>
        <main class="settings-main">
          <h1 class="unseen">Settings</h1>
          <Switch fallback={<MissingNote />}>
            <Match when={props.section === "account"}>
              <Account me={props.me} />
            </Match>
            <Match when={props.section === "repositories" && props.repository} keyed>
              {(repository) => <RepositorySettings repository={repository} />}
            </Match>
            <Match when={props.section === "repositories"}>
              <Repositories />
            </Match>
            <Match when={props.section === "tokens"}>
              <Tokens />
            </Match>
            <Match when={props.section === "integrations"}>
              <Integrations />
            </Match>
            <Match when={props.section === "shortcuts"}>
              <Section title="Keyboard shortcuts">
                <ShortcutList />
              </Section>
            </Match>
            <Match when={props.section === "audit" && administrator()}>
              <Audit />
            </Match>
          </Switch>
        </main>
      </div>
    </div>
  );
}
