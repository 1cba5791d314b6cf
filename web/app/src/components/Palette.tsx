/** Everything by typing: sessions (those that the server finds too), repositories, actions. */
import { For, Show, createEffect, createMemo, createResource, createSignal, createUniqueId, on, onCleanup, type JSX } from "solid-js";

import type { SessionSummary } from "#ui/protocol.ts";
import { Icon, type IconName } from "#ui/view/Icon.tsx";

import { api, messageOf } from "../api.ts";
import { setAppearance } from "../appearance.ts";
import { rank } from "../fuzzy.ts";
import { signOut } from "../me.ts";
import { openSession } from "../lobby.ts";
import { notify } from "../notices.ts";
import { navigate, newSessionPath, sessionPath, settingsPath } from "../router.ts";
import { knownSession, ordered, sessionTitle } from "../sessions.ts";
import { keySigns, type ShortcutName } from "../shortcuts.ts";
import { Dialog } from "./Dialog.tsx";
import { startRenaming } from "./SessionTitle.tsx";

interface Command {
  readonly kind: "Sessions" | "Actions" | "Repositories";
  readonly icon: IconName;
  readonly label: string;
  readonly detail?: string;
  readonly keys?: ShortcutName;
  readonly run: () => void;
}

const KINDS: readonly Command["kind"][] = ["Sessions", "Actions", "Repositories"];
/** Of each kind, before and after something was typed. */
const SHOWN_AT_FIRST = 5;
const SHOWN = 8;
const SEARCH_MS = 200;

export default function Palette(props: { close: () => void; openShortcuts: () => void }): JSX.Element {
  const id = createUniqueId();
  const [query, setQuery] = createSignal("");
  const [asked, setAsked] = createSignal("");
  const [active, setActive] = createSignal(0);
  // What cannot be fetched is left out: the rest is still of use.
  const [repositories] = createResource(
    async () => (await api.repositories().catch(() => ({ repositories: [] }))).repositories,
    { initialValue: [] },
  );
  const [found] = createResource(
    asked,
    async (text) => (await api.sessions({ query: text }).catch(() => ({ sessions: [] }))).sessions,
    { initialValue: [] },
  );

  let waiting: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(waiting));
  createEffect(
    on(query, (text) => {
      clearTimeout(waiting);
      waiting = setTimeout(() => setAsked(text.trim()), SEARCH_MS);
    }, { defer: true }),
  );

  const sessions = (): Command[] => {
    const known = new Map<string, SessionSummary>(ordered().map((session) => [session.id, session]));
    const command = (session: SessionSummary): Command => ({
      kind: "Sessions",
      icon: "chat",
      label: sessionTitle(session),
      detail: session.repository,
      run: () => navigate(sessionPath(session.id)),
    });
    const fits = rank(query(), [...known.values()], (session) => `${sessionTitle(session)} ${session.repository}`);
    // The server also searches what is not on this page.
    const more = asked() === query().trim() ? found.latest : [];
    return [...new Map([...fits, ...more].map((session) => [session.id, session])).values()].map(command);
  };

  const here = openSession();
  const actions: readonly Command[] = [
    ...(here !== undefined && knownSession(here)?.state !== "archived"
      ? [{ kind: "Actions", icon: "pencil", label: "Rename this session", run: () => startRenaming(here) } as const]
      : []),
    { kind: "Actions", icon: "plus", label: "New session", keys: "newSession", run: () => navigate("/new") },
    { kind: "Actions", icon: "list", label: "All sessions", keys: "list", run: () => navigate("/") },
    { kind: "Actions", icon: "chart", label: "Statistics", run: () => navigate("/statistics") },
    { kind: "Actions", icon: "gear", label: "Settings: account", run: () => navigate(settingsPath("account")) },
    { kind: "Actions", icon: "box", label: "Settings: repositories and images", run: () => navigate(settingsPath("repositories")) },
    { kind: "Actions", icon: "key", label: "Settings: API tokens", run: () => navigate(settingsPath("tokens")) },
    { kind: "Actions", icon: "puzzle", label: "Settings: integrations", run: () => navigate(settingsPath("integrations")) },
    { kind: "Actions", icon: "info", label: "Keyboard shortcuts", keys: "help", run: () => props.openShortcuts() },
    { kind: "Actions", icon: "image", label: "Appearance: light", run: () => setAppearance("light") },
    { kind: "Actions", icon: "image", label: "Appearance: dark", run: () => setAppearance("dark") },
    { kind: "Actions", icon: "image", label: "Appearance: as the system", run: () => setAppearance("system") },
    {
      kind: "Actions",
      icon: "lock",
      label: "Sign out",
      run: () => void signOut().catch((error: unknown) => notify(messageOf(error))),
    },
  ];

  const places = (): Command[] =>
    repositories.latest.flatMap(({ repository }) => [
      {
        kind: "Repositories" as const,
        icon: "box" as const,
        label: repository,
        detail: "New session",
        run: () => navigate(newSessionPath(repository)),
      },
      {
        kind: "Repositories" as const,
        icon: "gear" as const,
        label: repository,
        detail: "Settings",
        run: () => navigate(settingsPath("repositories", repository)),
      },
    ]);

  const groups = createMemo(() => {
    const words = query().trim();
    const label = (command: Command) => `${command.label} ${command.detail ?? ""}`;
    const all: Record<Command["kind"], Command[]> = {
      Sessions: sessions(),
      Actions: rank(words, actions, label),
      Repositories: rank(words, places(), label),
    };
    // What has the very words is meant, rather than what has their letters somewhere.
    const means = (kind: Command["kind"]) =>
      all[kind].some((command) => label(command).toLowerCase().includes(words.toLowerCase()));
    const kinds = [...KINDS].sort((one, other) => Number(means(other)) - Number(means(one)));
    const most = words === "" ? SHOWN_AT_FIRST : SHOWN;
    let from = 0;
    return kinds.flatMap((kind) => {
      const commands = all[kind].slice(0, most);
      const group = { kind, from, commands };
      from += commands.length;
      return commands.length > 0 ? [group] : [];
    });
  });
  const commands = createMemo(() => groups().flatMap((group) => group.commands));
  createEffect(on(query, () => setActive(0)));

  const choose = (command: Command | undefined) => {
    if (!command) return;
    props.close();
    command.run();
  };
  const move = (by: number) => {
    const count = commands().length;
    if (count > 0) setActive((active() + by + count) % count);
    document.getElementById(`${id}-${active()}`)?.scrollIntoView({ block: "nearest" });
  };
  const keyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter") choose(commands()[active()]);
    else return;
    event.preventDefault();
  };

  return (
    <Dialog label="Search and commands" class="palette" onClose={props.close}>
      <label class="palette-field">
        <Icon name="search" />
        <input
          type="text"
          role="combobox"
          aria-label="Search sessions, repositories and actions"
          aria-expanded="true"
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={commands().length > 0 ? `${id}-${active()}` : undefined}
          placeholder="Search sessions, repositories and actions"
          autocomplete="off"
          spellcheck={false}
          autofocus
          value={query()}
          onInput={(event) => setQuery(event.currentTarget.value)}
          onKeyDown={keyDown}
        />
        <button class="icon-button" type="button" aria-label="Close" onClick={() => props.close()}>
          <Icon name="cross" />
        </button>
      </label>
      <div class="palette-list" id={`${id}-list`} role="listbox" aria-label="Results" tabindex="-1">
        <For each={groups()}>
          {(group) => (
            <div role="group" aria-labelledby={`${id}-${group.kind}`}>
              <p class="palette-kind" id={`${id}-${group.kind}`}>
                {group.kind}
              </p>
              <For each={group.commands}>
                {(command, index) => (
                  <div
                    class="palette-item"
                    id={`${id}-${group.from + index()}`}
                    role="option"
                    aria-selected={group.from + index() === active()}
                    onPointerMove={() => setActive(group.from + index())}
                    onClick={() => choose(command)}
                  >
                    <Icon name={command.icon} />
                    <span class="palette-label" dir="auto">{command.label}</span>
                    <Show when={command.detail}>
                      <span class="quiet palette-detail">{command.detail}</span>
                    </Show>
                    <Show when={command.keys}>
                      {(name) => (
                        <span class="palette-keys" aria-hidden="true">
                          <For each={keySigns(name())}>{(sign) => <kbd>{sign}</kbd>}</For>
                        </span>
                      )}
                    </Show>
                  </div>
                )}
              </For>
            </div>
          )}
        </For>
      </div>
      <Show when={commands().length === 0}>
        <p class="palette-none quiet" role="status">
          Nothing fits
        </p>
      </Show>
    </Dialog>
  );
}
