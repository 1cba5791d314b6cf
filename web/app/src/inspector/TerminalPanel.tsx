/** A shell in the sandbox: everybody looks on, one types at a time. */
import { For, Match, Show, Switch, createEffect, createSignal, on, onCleanup, onMount, type JSX } from "solid-js";

import { TERMINAL_SUBPROTOCOL, TerminalConnection, type TerminalState } from "#ui/terminal.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";
import { Icon, Spinner } from "#ui/view/Icon.tsx";

import { ApiError, messageOf } from "../api.ts";
import { appearance } from "../appearance.ts";
import { notify } from "../notices.ts";
import { sessionParts } from "../session-api.ts";
import type { PanelProps } from "./Inspector.tsx";
import { PanelEmpty, PanelFailed } from "./PanelState.tsx";
import { createScreen } from "./screen.ts";

/** Refusals that say that there is no sandbox; all other final ones are failures. */
const ASLEEP: ReadonlySet<string> = new Set(["no_sandbox", "asleep"]);
const FINAL: ReadonlySet<number> = new Set([400, 401, 403, 404, 409, 410]);

export default function TerminalPanel(props: PanelProps): JSX.Element {
  let place!: HTMLDivElement;
  let control!: HTMLButtonElement;
  const [state, setState] = createSignal<TerminalState>({ phase: "connecting" });
  const [title, setTitle] = createSignal("");
  const live = () => {
    const now = state();
    return now.phase === "live" ? now : undefined;
  };
  const as = <P extends TerminalState["phase"]>(phase: P) => {
    const now = state();
    return now.phase === phase ? (now as Extract<TerminalState, { phase: P }>) : undefined;
  };
  const yours = () => live()?.yours ?? false;
  let connection: TerminalConnection | undefined;
  const sandbox = () => props.client.store.timeline().sandbox();

  onMount(() => {
    const screen = createScreen(place);
    const { terminal } = screen;
    const encoder = new TextEncoder();
    const made = new TerminalConnection(
      {
        ticket: () => sessionParts.terminal(props.id),
        open: ({ url, ticket }) => new WebSocket(url, [TERMINAL_SUBPROTOCOL, `ticket.${ticket}`]),
        refusal: (error) =>
          error instanceof ApiError && FINAL.has(error.status)
            ? { asleep: ASLEEP.has(error.code), message: messageOf(error) }
            : undefined,
      },
      {
        state: setState,
        reset: () => terminal.reset(),
        window: (columns, rows) => terminal.resize(columns, rows),
        output: (bytes) => terminal.write(bytes),
        complaint: notify,
      },
    );
    connection = made;

    terminal.onData((text) => made.type(encoder.encode(text)));
    terminal.onBinary((text) => made.type(Uint8Array.from(text, (character) => character.charCodeAt(0))));
    // Text, and never more of it than fits.
    terminal.onTitleChange((text) => setTitle(text.slice(0, 80)));
    terminal.attachCustomKeyEventHandler((event) => {
      // Whoever works by keyboard gets out again.
      if (event.type === "keydown" && event.key === "Escape" && event.shiftKey) {
        event.preventDefault();
        control.focus();
        return false;
      }
      // To others its keys belong to the page.
      return yours();
    });

    const fit = () => {
      const size = yours() ? screen.fitting() : undefined;
      if (!size || (size.columns === terminal.cols && size.rows === terminal.rows)) return;
      made.send({ type: "resize", columns: Math.min(500, size.columns), rows: Math.min(200, size.rows) });
    };
    createEffect(
      on(yours, (mine) => {
        terminal.options.disableStdin = !mine;
        terminal.options.cursorBlink = mine;
        if (!mine) return;
        fit();
        terminal.focus();
      }),
    );
    let frame = 0;
    const observer = new ResizeObserver(() => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(fit);
    });
    observer.observe(place);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", screen.theme);
    createEffect(on(appearance, () => screen.theme(), { defer: true }));

    if (!props.archived) made.connect();
    // A sandbox that has just come up is looked into; one that sleeps is left alone.
    createEffect(
      on(sandbox, (life) => {
        if (life === "ready" && (as("asleep") ?? as("failed"))) made.connect();
      }, { defer: true }),
    );
    const online = () => as("failed") && made.connect();
    window.addEventListener("online", online);
    onCleanup(() => {
      window.removeEventListener("online", online);
      cancelAnimationFrame(frame);
      observer.disconnect();
      dark.removeEventListener("change", screen.theme);
      made.close();
      screen.dispose();
    });
  });

  const toggle = () => connection?.send(yours() ? { type: "release_control" } : { type: "take_control" });
  const covered = () => props.archived || !["live", "reconnecting"].includes(state().phase);
  return (
    <div class="terminal-panel">
      <div class="panel-tools">
        <p class="terminal-status" role="status">
          <Switch fallback={<span class="quiet">{title() || "Terminal"}</span>}>
            <Match when={as("connecting") ?? as("reconnecting")}>
              <Spinner /> {state().phase === "connecting" ? "Connecting…" : "Reconnecting…"}
            </Match>
            <Match when={live()?.yours}>You are in control</Match>
            <Match when={live()?.controller}>{(person) => <>{displayName(person())} is in control</>}</Match>
            <Match when={live()}>Read-only: nobody is in control</Match>
          </Switch>
        </p>
        <ul class="presence" aria-label="Looking on">
          <For each={live()?.viewers ?? []}>
            {(person) => (
              <li>
                <Avatar person={person} size="small" />
                <span class="unseen">{displayName(person)}</span>
              </li>
            )}
          </For>
        </ul>
        <button ref={control} class="button" classList={{ primary: live() !== undefined && !yours() }} disabled={!live()} onClick={toggle}>
          {yours() ? "Release" : "Take control"}
        </button>
      </div>
      <div class="terminal-frame">
        <div
          ref={place}
          class="terminal-place"
          classList={{ yours: yours() }}
          role="region"
          aria-label={title() === "" ? "Terminal" : `Terminal: ${title()}`}
        />
        <Show when={covered()}>
          <div class="terminal-cover">
            <Switch>
              <Match when={props.archived}>
                <PanelEmpty icon="archive" title="This session is archived">
                  It has no sandbox any more.
                </PanelEmpty>
              </Match>
              <Match when={as("asleep")}>
                {(is) => (
                  <PanelEmpty icon="moon" title="The sandbox is asleep">
                    {is().message} The terminal opens by itself when it is up.{" "}
                    <button class="link" onClick={() => connection?.connect()}>
                      Look again
                    </button>
                  </PanelEmpty>
                )}
              </Match>
              <Match when={as("ended")}>
                {(is) => (
                  <PanelEmpty icon="terminal" title="The shell has ended">
                    <Show when={is().code !== undefined}>Its exit code was {is().code}. </Show>
                    <button class="link" onClick={() => connection?.connect()}>
                      Start another
                    </button>
                  </PanelEmpty>
                )}
              </Match>
              <Match when={as("failed")}>
                {(is) => <PanelFailed message={is().message} retry={() => connection?.connect()} />}
              </Match>
            </Switch>
          </div>
        </Show>
      </div>
      <p class="terminal-hint quiet">
        <Icon name="keyboard" />
        {yours()
          ? "Everything you type goes to the shell. Shift Esc leaves it."
          : "Everybody here sees the same shell. Take control to type."}
      </p>
    </div>
  );
}
