/**
 * Beside the timeline: what came of the session, and what is going on inside it.
 *
 * A panel is loaded when somebody first opens it. Changes and pull requests stay as they were left,
 * since somebody may be writing there; the others begin anew.
 */
import { Match, Show, Suspense, Switch, createEffect, createSignal, lazy, on, onCleanup, onMount, type JSX } from "solid-js";

import type { SessionClient } from "#ui/client.ts";
import type { Person, SessionId, SessionSummary } from "#ui/protocol.ts";
import type { Turn } from "#ui/timeline/item.ts";
import { Icon } from "#ui/view/Icon.tsx";

import { createChangedCount } from "./changed-count.ts";
import { DetailsPanel } from "./DetailsPanel.tsx";
import { PanelLoading } from "./PanelState.tsx";
import { Tabs, type Tab } from "./Tabs.tsx";
import { WaterfallPanel } from "./WaterfallPanel.tsx";

const ChangesPanel = lazy(() => import("./ChangesPanel.tsx"));
const PullRequestsPanel = lazy(() => import("./PullRequestsPanel.tsx"));
const TerminalPanel = lazy(() => import("./TerminalPanel.tsx"));

export type PanelName = "changes" | "pulls" | "terminal" | "waterfall" | "details";

/** What every panel is about. */
export interface PanelProps {
  readonly id: SessionId;
  readonly me: Person;
  readonly client: SessionClient;
  readonly summary: SessionSummary | undefined;
  readonly archived: boolean;
  /** Those that are here, oldest first. */
  readonly turns: readonly Turn[];
  /** Shows another panel. */
  show(panel: PanelName): void;
}

export function Inspector(
  props: PanelProps & { open: boolean; selected: PanelName; onClose: () => void },
): JSX.Element {
  const [visited, setVisited] = createSignal<ReadonlySet<PanelName>>(new Set());
  createEffect(() => {
    if (props.open) setVisited((all) => (all.has(props.selected) ? all : new Set([...all, props.selected])));
  });
  const timeline = () => props.client.store.timeline();
  const changed = createChangedCount(timeline);
  const tabs = (): Tab<PanelName>[] => {
    const files = changed.files();
    const pulls = timeline().pullRequests().length;
    return [
      { name: "changes", label: "Changes", icon: "diff", ...(files && { count: files }) },
      { name: "pulls", label: "Pull requests", icon: "pull", ...(pulls > 0 && { count: pulls }) },
      { name: "terminal", label: "Terminal", icon: "terminal" },
      { name: "waterfall", label: "Waterfall", icon: "time" },
      { name: "details", label: "Details", icon: "info" },
    ];
  };
  let root!: HTMLElement;
  let before: Element | null = null;
  // As a sheet it covers the page: the focus goes in, and comes back.
  const isSheet = () => getComputedStyle(root).position === "fixed";
  createEffect(
    on(() => props.open, (open) => {
      if (open && isSheet()) {
        before = document.activeElement;
        root.querySelector<HTMLElement>('[role="tab"][aria-selected="true"]')?.focus();
      } else if (!open && before instanceof HTMLElement) {
        before.focus();
        before = null;
      }
    }, { defer: true }),
  );
  const keyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.defaultPrevented || !isSheet()) return;
    event.preventDefault();
    props.onClose();
  };
  onMount(() => {
    root.addEventListener("keydown", keyDown);
    onCleanup(() => root.removeEventListener("keydown", keyDown));
  });
  return (
    <aside
      ref={root}
      class="inspector"
      classList={{ open: props.open, wide: props.selected === "changes" || props.selected === "terminal" }}
      aria-label="Inspector"
      hidden={!props.open}
    >
      <div class="inspector-head">
        <Tabs label="Inspector" tabs={tabs()} selected={props.selected} onSelect={(name) => props.show(name)} />
        <button class="icon-button inspector-close" aria-label="Close the inspector" onClick={() => props.onClose()}>
          <Icon name="cross" />
        </button>
      </div>
      <Kept name="changes" selected={props.selected} visited={visited()}>
        <ChangesPanel {...props} visible={props.open && props.selected === "changes"} onLive={changed.saw} />
      </Kept>
      <Kept name="pulls" selected={props.selected} visited={visited()}>
        <PullRequestsPanel {...props} />
      </Kept>
      <Switch>
        <Match when={props.open && props.selected === "terminal"}>
          <Panel name="terminal">
            <TerminalPanel {...props} />
          </Panel>
        </Match>
        <Match when={props.open && props.selected === "waterfall"}>
          <Panel name="waterfall">
            <WaterfallPanel {...props} />
          </Panel>
        </Match>
        <Match when={props.open && props.selected === "details"}>
          <Panel name="details">
            <DetailsPanel {...props} />
          </Panel>
        </Match>
      </Switch>
    </aside>
  );
}

function Kept(props: { name: PanelName; selected: PanelName; visited: ReadonlySet<PanelName>; children: JSX.Element }): JSX.Element {
  return (
    <Show when={props.visited.has(props.name)}>
      <Panel name={props.name} hidden={props.selected !== props.name}>
        {props.children}
      </Panel>
    </Show>
  );
}

function Panel(props: { name: PanelName; hidden?: boolean; children: JSX.Element }): JSX.Element {
  return (
    <div
      id={`panel-${props.name}`}
      class={`panel ${props.name}`}
      role="tabpanel"
      aria-labelledby={`tab-${props.name}`}
      tabindex="0"
      hidden={props.hidden ?? false}
    >
      <Suspense fallback={<PanelLoading words="Loading…" />}>{props.children}</Suspense>
    </div>
  );
}
