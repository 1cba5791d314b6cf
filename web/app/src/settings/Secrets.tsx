/** Secrets of a repository. They are written and replaced here, and never read. */
import { Show, createSignal, type JSX } from "solid-js";

import type { Repository, SecretScope } from "#ui/protocol.ts";
import { ago } from "#ui/view/duration.ts";
import { Icon } from "#ui/view/Icon.tsx";

import { api, messageOf } from "../api.ts";
import { createLoaded } from "../loaded.ts";
import { notify } from "../notices.ts";
import { Confirmed, Field, Form, LineField, Section } from "./Form.tsx";
import { LoadedRows } from "./LoadedRows.tsx";

export function Secrets(props: { repository: Repository; mayWrite: boolean }): JSX.Element {
  const list = createLoaded(async () => (await api.secrets(props.repository)).secrets);
  const [adding, setAdding] = createSignal(false);
  const remove = async (name: string) => {
    try {
      await api.removeSecret(props.repository, name);
      await list.reload();
    } catch (error) {
      notify(messageOf(error));
    }
  };
  return (
    <Section
      title="Secrets"
      note="Nobody can read a value again, neither here nor by the API."
      side={
        <Show when={props.mayWrite && !adding()}>
          <button class="button" onClick={() => setAdding(true)}>
            <Icon name="plus" /> Set a secret
          </button>
        </Show>
      }
    >
      <LoadedRows list={list} empty="There are no secrets.">
        {(secret) => (
          <>
            <Icon name="lock" />
            <div class="row-main">
              <strong>
                <code>{secret.name}</code>
              </strong>
              <span class="quiet">
                {scopeWords(secret.scope)} · set by {secret.set_by.login} {ago(secret.set_at, Date.now())}
              </span>
            </div>
            <Show when={props.mayWrite}>
              <Confirmed label={`Remove ${secret.name}`} words="Remove" run={() => remove(secret.name)} />
            </Show>
          </>
        )}
      </LoadedRows>
      <Show when={adding()}>
        <Editor
          repository={props.repository}
          close={() => setAdding(false)}
          saved={() => {
            setAdding(false);
            void list.reload();
          }}
        />
      </Show>
    </Section>
  );
}

function scopeWords(scope: SecretScope): string {
  return scope.kind === "sandbox" ? "a variable in sandboxes" : `the header ${scope.header} for ${scope.hosts.join(", ")}`;
}

function Editor(props: { repository: Repository; close: () => void; saved: () => void }): JSX.Element {
  const [name, setName] = createSignal("");
  const [value, setValue] = createSignal("");
  const [kind, setKind] = createSignal<SecretScope["kind"]>("header");
  const [hosts, setHosts] = createSignal("");
  const [header, setHeader] = createSignal("authorization");
  const [prefix, setPrefix] = createSignal("Bearer ");
  const scope = (): SecretScope =>
    kind() === "sandbox"
      ? { kind: "sandbox" }
      : { kind: "header", hosts: hosts().split(/[\s,]+/).filter(Boolean), header: header().trim(), prefix: prefix() };
  return (
    <Form
      label="Set a secret"
      action="Set secret"
      save={async () => {
        if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name())) throw new Error("A secret is named like a variable: NPM_TOKEN.");
        if (value() === "") throw new Error("Write the value of the secret.");
        if (kind() === "header" && hosts().trim() === "") throw new Error("Name the hosts that are to get the header.");
        await api.setSecret(props.repository, name(), { value: value(), scope: scope() });
        setValue("");
        notify(`${name()} was set.`, { kind: "news" });
        props.saved();
      }}
      beside={
        <button class="button" type="button" onClick={() => props.close()}>
          Cancel
        </button>
      }
    >
      <div class="field-pair">
        <LineField
          label="Name"
          placeholder="NPM_TOKEN"
          value={name()}
          onInput={(value) => setName(value.trim())}
        />
        <Field
          label="Value"
          control={(ids) => (
            <input
              {...ids}
              class="mono"
              type="password"
              autocomplete="new-password"
              value={value()}
              onInput={(event) => setValue(event.currentTarget.value)}
            />
          )}
        />
      </div>
      <fieldset class="field">
        <legend>Where it is used</legend>
        <label class="check">
          <input type="radio" name="scope" checked={kind() === "header"} onChange={() => setKind("header")} />
          <span>
            A header that is added outside <span class="quiet">the sandbox never has it</span>
          </span>
        </label>
        <label class="check">
          <input type="radio" name="scope" checked={kind() === "sandbox"} onChange={() => setKind("sandbox")} />
          <span>
            A variable in the sandbox <span class="quiet">whatever runs there can read it</span>
          </span>
        </label>
      </fieldset>
      <Show when={kind() === "header"}>
        <LineField
          label="Hosts"
          hint="They have to be among the hosts that sandboxes may reach."
          placeholder="npm.example.com"
          value={hosts()}
          onInput={setHosts}
        />
        <div class="field-pair">
          <LineField label="Header" value={header()} onInput={setHeader} />
          <LineField label="Before the value" value={prefix()} onInput={setPrefix} />
        </div>
      </Show>
    </Form>
  );
}
