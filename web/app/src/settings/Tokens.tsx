import { For, Show, createSignal, type JSX } from "solid-js";

import type { ApiToken, CreatedApiToken, TokenScope } from "#ui/protocol.ts";
import { ago } from "#ui/view/duration.ts";
import { Icon } from "#ui/view/Icon.tsx";

import { api, messageOf } from "../api.ts";
import { createLoaded } from "../loaded.ts";
import { notify } from "../notices.ts";
import { Confirmed, Field, Form, Section } from "./Form.tsx";
import { LoadedRows } from "./LoadedRows.tsx";

const SCOPES: readonly { scope: TokenScope; label: string; hint: string }[] = [
  { scope: "read", label: "Read", hint: "sessions, logs, files, statistics" },
  { scope: "write", label: "Write", hint: "start and prompt sessions, stop them" },
  { scope: "admin", label: "Administer", hint: "settings, secrets and images of repositories" },
];

const LASTING = [7, 30, 90, 365];

export function Tokens(): JSX.Element {
  const tokens = createLoaded(async () => (await api.tokens()).tokens);
  const [created, setCreated] = createSignal<CreatedApiToken | undefined>();
  const revoke = async (token: ApiToken) => {
    try {
      await api.revokeToken(token.id);
      if (created()?.token.id === token.id) setCreated(undefined);
      await tokens.reload();
    } catch (error) {
      notify(messageOf(error));
    }
  };
  return (
    <>
      <Section title="API tokens" note="For programs that act as you: they may do what you may, within their scopes.">
        <Show when={created()}>{(one) => <Secret created={one()} />}</Show>
        <LoadedRows list={tokens} empty="There are no tokens yet.">
          {(token) => (
            <>
              <Icon name="key" />
              <div class="row-main">
                <strong>{token.name}</strong>
                <span class="quiet">
                  {token.scopes.join(", ")} · until {new Date(token.expires_at).toLocaleDateString(undefined, { dateStyle: "medium" })} ·{" "}
                  {token.last_used_at === undefined ? "never used" : `last used ${ago(token.last_used_at, Date.now())}`}
                </span>
              </div>
              <Confirmed label={`Revoke ${token.name}`} words="Revoke" run={() => revoke(token)} />
            </>
          )}
        </LoadedRows>
      </Section>
      <NewToken
        onCreated={(one) => {
          setCreated(one);
          void tokens.reload();
        }}
      />
    </>
  );
}

function Secret(props: { created: CreatedApiToken }): JSX.Element {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(props.created.secret);
      notify("Copied.", { kind: "news" });
    } catch {
      notify("The browser does not let this page copy. Select the token and copy it.");
    }
  };
  return (
    <div class="callout good created-token" role="status">
      <div>
        <p>
          <strong>{props.created.token.name}</strong> was made. Copy the token now: it is shown this once.
        </p>
        <code class="secret" tabindex="0">
          {props.created.secret}
        </code>
      </div>
      <button class="button" onClick={() => void copy()}>
        <Icon name="copy" /> Copy
      </button>
    </div>
  );
}

function NewToken(props: { onCreated: (created: CreatedApiToken) => void }): JSX.Element {
  const [name, setName] = createSignal("");
  const [days, setDays] = createSignal(90);
  const [scopes, setScopes] = createSignal<readonly TokenScope[]>(["read"]);
  const toggle = (scope: TokenScope, on: boolean) =>
    setScopes((all) => (on ? [...all, scope] : all.filter((other) => other !== scope)));
  return (
    <Section title="New token">
      <Form
        label="New token"
        action="Create token"
        save={async () => {
          if (!name().trim()) throw new Error("Give the token a name: what it is for.");
          if (scopes().length === 0) throw new Error("Choose what the token may do.");
          const created = await api.createToken({ name: name().trim(), scopes: [...scopes()], expires_in_days: days() });
          setName("");
          props.onCreated(created);
        }}
      >
        <Field
          label="Name"
          control={(ids) => (
            <input
              {...ids}
              type="text"
              autocomplete="off"
              maxlength="100"
              placeholder="What it is for"
              value={name()}
              onInput={(event) => setName(event.currentTarget.value)}
            />
          )}
        />
        <fieldset class="field">
          <legend>May</legend>
          <For each={SCOPES}>
            {({ scope, label, hint }) => (
              <label class="check">
                <input
                  type="checkbox"
                  checked={scopes().includes(scope)}
                  onChange={(event) => toggle(scope, event.currentTarget.checked)}
                />
                <span>
                  {label} <span class="quiet">{hint}</span>
                </span>
              </label>
            )}
          </For>
        </fieldset>
        <Field
          label="Good for"
          control={(ids) => (
            <select {...ids} onChange={(event) => setDays(Number(event.currentTarget.value))}>
              <For each={LASTING}>
                {(count) => (
                  <option value={count} selected={count === days()}>
                    {count} days
                  </option>
                )}
              </For>
            </select>
          )}
        />
      </Form>
    </Section>
  );
}
