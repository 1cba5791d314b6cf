/** Prompts that wait: what the agent will read next, and what is still on its way to the server. */
import { For, Show, createSignal, type JSX } from "solid-js";

import type { SessionClient } from "#ui/client.ts";
import { promptProblem, type Outgoing } from "#ui/outbox.ts";
import type { SessionId } from "#ui/protocol.ts";
import type { Waiting } from "#ui/timeline.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";
import { Icon, Spinner } from "#ui/view/Icon.tsx";

import { api, messageOf } from "../api.ts";
import { notify } from "../notices.ts";

export function Queue(props: { id: SessionId; client: SessionClient }): JSX.Element {
  const waiting = () => props.client.store.timeline().queue();
  const outgoing = () => props.client.store.outbox.items();
  return (
    <Show when={waiting().length + outgoing().length > 0}>
      <section class="queue" aria-label="Queue">
        <ol>
          <For each={waiting()}>{(item) => <WaitingPrompt id={props.id} waiting={item} />}</For>
          <For each={outgoing()}>{(item) => <OutgoingPrompt client={props.client} outgoing={item} />}</For>
        </ol>
      </section>
    </Show>
  );
}

function WaitingPrompt(props: { id: SessionId; waiting: Waiting }): JSX.Element {
  const [draft, setDraft] = createSignal<string | undefined>();
  const [busy, setBusy] = createSignal(false);
  const prompt = () => props.waiting.prompt;

  const attempt = async (change: () => Promise<void>) => {
    setBusy(true);
    try {
      await change();
      setDraft(undefined);
    } catch (error) {
      notify(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  const save = () => {
    const text = draft() ?? "";
    const wrong = promptProblem(text);
    if (wrong !== undefined) notify(wrong);
    else void attempt(() => api.editPrompt(props.id, prompt().id, { text }));
  };
  return (
    <li class="queued">
      <Avatar person={prompt().author} size="small" />
      <Show
        when={draft() !== undefined}
        fallback={
          <>
            <p class="queued-text">
              <span class="unseen">{displayName(prompt().author)}: </span>
              {prompt().text}
              <Show when={props.waiting.editedBy}>
                {(person) => <span class="quiet"> · edited by {displayName(person())}</span>}
              </Show>
            </p>
            <Show when={prompt().mode === "insert"}>
              <span class="tag">next step</span>
            </Show>
            <button class="icon-button" aria-label="Edit" disabled={busy()} onClick={() => setDraft(prompt().text)}>
              <Icon name="pencil" />
            </button>
            <button
              class="icon-button"
              aria-label="Remove from the queue"
              disabled={busy()}
              onClick={() => void attempt(() => api.cancelPrompt(props.id, prompt().id))}
            >
              <Icon name="cross" />
            </button>
          </>
        }
      >
        <form
          class="queued-edit"
          onSubmit={(event) => {
            event.preventDefault();
            save();
          }}
        >
          <textarea
            aria-label="Waiting prompt"
            rows={2}
            value={draft() ?? ""}
            ref={(field) => queueMicrotask(() => field.focus())}
            onInput={(event) => setDraft(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Escape") setDraft(undefined);
              else if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) save();
            }}
          />
          <button class="button" type="button" onClick={() => setDraft(undefined)}>
            Cancel
          </button>
          <button class="button primary" type="submit" disabled={busy()}>
            Save
          </button>
        </form>
      </Show>
    </li>
  );
}

function OutgoingPrompt(props: { client: SessionClient; outgoing: Outgoing }): JSX.Element {
  const sent = () => props.client.link().phase === "live";
  return (
    <li class="queued outgoing" classList={{ refused: props.outgoing.refusal !== undefined }}>
      <Show when={props.outgoing.refusal === undefined} fallback={<Icon name="warning" />}>
        <Spinner />
      </Show>
      <p class="queued-text">
        {props.outgoing.text}
        <span class="quiet"> · {props.outgoing.refusal ?? (sent() ? "sending…" : "will be sent when connected")}</span>
      </p>
      <Show when={props.outgoing.refusal !== undefined}>
        <button class="button" onClick={() => props.client.resend(props.outgoing.id)}>
          Try again
        </button>
        <button
          class="icon-button"
          aria-label="Discard"
          onClick={() => props.client.store.outbox.remove(props.outgoing.id)}
        >
          <Icon name="cross" />
        </button>
      </Show>
    </li>
  );
}
