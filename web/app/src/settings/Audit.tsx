import { For, Match, Show, Switch, createSignal, onMount, type JSX } from "solid-js";

import type { AuditEntry, Deed } from "#ui/protocol.ts";

import { api, messageOf } from "../api.ts";
import { Problem } from "../components/Problem.tsx";
import "../styles/audit.css";
import { Section } from "./Form.tsx";

const DEEDS: Readonly<Record<Deed, string>> = {
  signed_in: "signed in",
  signed_out_everywhere: "signed out everywhere",
  token_created: "created a token",
  token_revoked: "revoked a token",
  secret_set: "set a secret",
  secret_removed: "removed a secret",
  settings_changed: "changed settings",
  session_archived: "archived a session",
  prompt_stopped: "stopped a prompt",
  access_refused: "was refused",
  audit_read: "read this log",
  terminal_opened: "opened a terminal",
};

export function Audit(): JSX.Element {
  const [entries, setEntries] = createSignal<readonly AuditEntry[] | undefined>();
  const [cursor, setCursor] = createSignal<string | undefined>();
  const [problem, setProblem] = createSignal<string | undefined>();
  const load = async (from?: string) => {
    setProblem(undefined);
    try {
      const page = await api.audit(from);
      setEntries((all = []) => (from === undefined ? page.entries : [...all, ...page.entries]));
      setCursor(page.cursor);
    } catch (error) {
      setProblem(messageOf(error));
    }
  };
  onMount(() => void load());
  return (
    <Section title="Audit log" note="Who did what, newest first. Values of secrets are never in it.">
      <Show when={problem()}>{(message) => <Problem message={message()} retry={() => void load(cursor())} />}</Show>
      <Switch>
        <Match when={entries()?.length === 0}>
          <p class="quiet nothing-found">Nothing has been noted yet.</p>
        </Match>
        <Match when={entries()}>
          {(all) => (
            <>
              <div class="scroll" tabindex="0" role="region" aria-label="Audit log">
                {/* The roles say what it is on a phone too, where it is not laid out as a table. */}
                <table class="audit" role="table">
                  <thead role="rowgroup">
                    <tr role="row">
                      <For each={["When", "Who", "Did", "To", "By"]}>
                        {(head) => (
                          <th scope="col" role="columnheader">
                            {head}
                          </th>
                        )}
                      </For>
                    </tr>
                  </thead>
                  <tbody role="rowgroup">
                    <For each={all()}>
                      {(entry) => (
                        <tr role="row">
                          <td class="when" role="cell">
                            <time datetime={new Date(entry.at).toISOString()}>
                              {new Date(entry.at).toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" })}
                            </time>
                          </td>
                          <td class="who" role="cell">
                            {entry.login}
                          </td>
                          <td class="did" classList={{ bad: entry.deed === "access_refused" }} role="cell">
                            {DEEDS[entry.deed] ?? entry.deed}
                          </td>
                          <td class="subject" role="cell">
                            <code>{entry.subject}</code>
                            {entry.detail && ` ${entry.detail}`}
                          </td>
                          <td class="means" role="cell">
                            {entry.means}
                          </td>
                        </tr>
                      )}
                    </For>
                  </tbody>
                </table>
              </div>
              <Show when={cursor()}>
                {(from) => (
                  <button class="button older" onClick={() => void load(from())}>
                    Show older
                  </button>
                )}
              </Show>
            </>
          )}
        </Match>
        <Match when={problem() === undefined}>
          <div class="skeleton" aria-busy="true">
            <span class="unseen">Loading</span>
          </div>
        </Match>
      </Switch>
    </Section>
  );
}
