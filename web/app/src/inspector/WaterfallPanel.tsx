/** Where the time of each turn went, and whom its sandboxes talked to. */
import { For, Index, Match, Show, Switch, createEffect, createSignal, on, onMount, type JSX } from "solid-js";

import type { Contact, ContactKind, Step, Verdict } from "#ui/protocol.ts";
import { Icon } from "#ui/view/Icon.tsx";
import { Waterfall } from "#ui/view/Waterfall.tsx";
import { duration } from "#ui/view/duration.ts";
import { bytes } from "#ui/uploads.ts";

import { sessionParts } from "../session-api.ts";
import type { PanelProps } from "./Inspector.tsx";
import { createLoad } from "./load.ts";
import { PanelEmpty, PanelFailed, PanelLoading } from "./PanelState.tsx";

export function WaterfallPanel(props: PanelProps): JSX.Element {
  return (
    <div class="panel-body">
      <Time {...props} />
      <Contacts {...props} />
    </div>
  );
}

/** The newest turn, until somebody picks another. */
function Time(props: PanelProps): JSX.Element {
  const timeline = () => props.client.store.timeline();
  const [picked, setPicked] = createSignal<number | undefined>();
  createEffect(on(() => props.turns.length, () => setPicked(undefined)));
  const index = () => picked() ?? props.turns.length - 1;
  const steps = (): readonly Step[] => {
    if (picked() === undefined && timeline().upcoming().length > 0) return timeline().upcoming().slice();
    return props.turns[index()]?.steps().slice() ?? [];
  };
  const whole = () => {
    const all = steps();
    const begin = Math.min(...all.map((step) => step.started_at));
    return Math.max(...all.map((step) => step.started_at + step.ms)) - begin;
  };
  return (
    <section>
      <h2>
        Where the time went
        <Show when={props.turns.length > 1}>
          <select aria-label="Prompt" value={index()} onChange={(event) => setPicked(Number(event.currentTarget.value))}>
            <Index each={props.turns}>{(turn, at) => <option value={at}>{turn().prompt.text.slice(0, 60)}</option>}</Index>
          </select>
        </Show>
      </h2>
      <Show
        when={steps().length > 0}
        fallback={<PanelEmpty icon="time" title="Nothing has been waited for yet">Each turn shows here what it waited for.</PanelEmpty>}
      >
        <p class="quiet waterfall-sum">{duration(whole())} from the first wait to the last</p>
        <Waterfall steps={steps()} />
      </Show>
    </section>
  );
}

const KINDS: Readonly<Record<ContactKind, string>> = {
  model: "model",
  git: "git",
  https: "https",
  http: "http",
  name: "name look-up",
};

const VERDICTS: Readonly<Record<Verdict, string>> = { allowed: "allowed", denied: "refused", failed: "failed" };

function Contacts(props: PanelProps): JSX.Element {
  const contacts = createLoad(() => sessionParts.contacts(props.id));
  onMount(() => void contacts.again());
  // A turn that ends has talked to somebody.
  createEffect(on(() => props.client.store.timeline().running(), () => void contacts.again(true), { defer: true }));
  const ready = () => {
    const state = contacts.state();
    return state.phase === "ready" ? state.value.contacts : undefined;
  };
  const failed = () => {
    const state = contacts.state();
    return state.phase === "failed" ? state : undefined;
  };
  return (
    <section>
      <h2>Who was contacted</h2>
      <Switch>
        <Match when={contacts.state().phase === "loading"}>
          <PanelLoading words="Loading the ledger…" />
        </Match>
        <Match when={failed()}>{(state) => <PanelFailed message={state().message} retry={() => void contacts.again()} />}</Match>
        <Match when={ready()?.length === 0}>
          <p class="quiet">The sandboxes of this session have talked to nobody yet.</p>
        </Match>
        <Match when={ready()}>{(list) => <Ledger contacts={list()} />}</Match>
      </Switch>
    </section>
  );
}

function Ledger(props: { contacts: readonly Contact[] }): JSX.Element {
  const cost = () => props.contacts.reduce((sum, contact) => sum + (contact.cost_microdollars ?? 0), 0);
  return (
    <>
      <div class="ledger" tabindex="0" role="region" aria-label="Contacts">
        <table>
          <thead>
            <tr>
              <th scope="col">Host</th>
              <th scope="col" class="number">Requests</th>
              <th scope="col" class="number">Sent</th>
              <th scope="col" class="number">Received</th>
            </tr>
          </thead>
          <tbody>
            <For each={props.contacts}>
              {(contact) => (
                <tr classList={{ denied: contact.verdict !== "allowed" }}>
                  <th scope="row" title={contact.reason ?? ""}>
                    <span class="ledger-host">
                      <Icon name={contact.verdict === "allowed" ? "check" : "warning"} />
                      <bdi>{contact.host}</bdi>
                    </span>
                    <span class="quiet">
                      {KINDS[contact.kind] ?? contact.kind} · {VERDICTS[contact.verdict] ?? contact.verdict}
                      {contact.reason ? `: ${contact.reason}` : ""}
                    </span>
                  </th>
                  <td class="number">{contact.requests.toLocaleString("en")}</td>
                  <td class="number">{bytes(contact.bytes_up)}</td>
                  <td class="number">{bytes(contact.bytes_down)}</td>
                </tr>
              )}
            </For>
          </tbody>
        </table>
      </div>
      <Show when={cost() > 0}>
        <p class="quiet">The model has cost ${(cost() / 1_000_000).toFixed(2)} so far.</p>
      </Show>
    </>
  );
}
