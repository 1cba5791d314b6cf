import { Show, createSignal, onCleanup, type JSX } from "solid-js";

import type { Environment, Repository } from "#ui/protocol.ts";
import { Icon } from "#ui/view/Icon.tsx";

import { api, messageOf } from "../api.ts";
import { createLoaded } from "../loaded.ts";
import { notify } from "../notices.ts";
import { Confirmed, Form, LineField, Section } from "./Form.tsx";
import { LoadedRows } from "./LoadedRows.tsx";
import { specificationOf, written } from "./specification.ts";
import { SpecificationFields } from "./SpecificationFields.tsx";

const REFRESH_MS = 3_000;
const STATUS = { building: "Building", ready: "Ready", failed: "Failed" } as const;

export function Environments(props: { repository: Repository; mayWrite: boolean }): JSX.Element {
  const list = createLoaded(async () => (await api.environments(props.repository)).environments);
  const [editing, setEditing] = createSignal<Environment | "new" | undefined>();
  const timer = setInterval(() => {
    const building = list.value()?.some(({ status }) => status === "building");
    if (building && document.visibilityState === "visible") void list.reload();
  }, REFRESH_MS);
  onCleanup(() => clearInterval(timer));
  const remove = async (name: string) => {
    try {
      await api.removeEnvironment(props.repository, name);
      await list.reload();
    } catch (error) {
      notify(messageOf(error));
    }
  };
  return (
    <Section
      title="Environments"
      note="Other set-ups beside the default, each with an image of its own."
      side={
        <Show when={props.mayWrite}>
          <button class="button" onClick={() => setEditing("new")}>
            <Icon name="plus" /> New environment
          </button>
        </Show>
      }
    >
      <LoadedRows list={list} empty="There are no environments beside the default.">
        {(environment) => (
          <>
            <span class={`image-dot ${environment.status}`} aria-hidden="true" />
            <div class="row-main">
              <strong>{environment.name}</strong>
              <span class="quiet">
                {STATUS[environment.status]}
                {environment.message && `: ${environment.message}`} ·{" "}
                {environment.members.length > 0 ? environment.members.join(", ") : "for everybody"} · by{" "}
                {environment.created_by}
              </span>
            </div>
            <Show when={props.mayWrite}>
              <div class="row-side">
                <button class="button" aria-label={`Edit ${environment.name}`} onClick={() => setEditing(environment)}>
                  Edit
                </button>
                <Confirmed label={`Remove ${environment.name}`} words="Remove" run={() => remove(environment.name)} />
              </div>
            </Show>
          </>
        )}
      </LoadedRows>
      <Show when={editing()} keyed>
        {(environment) => (
          <Editor
            repository={props.repository}
            environment={environment === "new" ? undefined : environment}
            close={() => setEditing(undefined)}
            saved={() => {
              setEditing(undefined);
              void list.reload();
            }}
          />
        )}
      </Show>
    </Section>
  );
}

function Editor(props: {
  repository: Repository;
  environment: Environment | undefined;
  close: () => void;
  saved: () => void;
}): JSX.Element {
  const [name, setName] = createSignal(props.environment?.name ?? "");
  const [text, setText] = createSignal(written(props.environment?.specification));
  const [members, setMembers] = createSignal((props.environment?.members ?? []).join(" "));
  return (
    <Form
      label="Environment"
      action={props.environment ? "Save and build" : "Build environment"}
      save={async () => {
        if (!/^[a-z][a-z0-9-]{0,39}$/.test(name())) {
          throw new Error("A name has 1 to 40 lower-case letters, digits and dashes, beginning with a letter.");
        }
        const specification = specificationOf(text());
        if (specification && "problem" in specification) throw new Error(specification.problem);
        const logins = members().split(/[\s,]+/).filter(Boolean);
        await api.createEnvironment(props.repository, {
          name: name(),
          ...specification,
          ...(logins.length > 0 && { members: logins }),
        });
        props.saved();
      }}
      beside={
        <button class="button" type="button" onClick={() => props.close()}>
          Cancel
        </button>
      }
    >
      <LineField
        label="Name"
        prose
        placeholder="integration"
        disabled={props.environment !== undefined}
        value={name()}
        onInput={(value) => setName(value.trim())}
      />
      <SpecificationFields text={text()} onChange={setText} />
      <LineField
        label="Who may use it"
        hint="Logins, with spaces between. Empty for everybody who reaches the repository."
        prose
        value={members()}
        onInput={setMembers}
      />
    </Form>
  );
}
