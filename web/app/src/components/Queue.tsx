/** Prompts that wait: what the agent will read next, and what is still on its way to the server. */
import { For, Show, createComputed, createEffect, createMemo, createSignal, on, type JSX } from "solid-js";

import type { SessionClient } from "#ui/client.ts";
import { promptProblem, type Outgoing } from "#ui/outbox.ts";
import type { Person, PromptId, SessionId } from "#ui/protocol.ts";
import type { Waiting } from "#ui/timeline/queue.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";
import { Icon, Spinner } from "#ui/view/Icon.tsx";

import { api, messageOf } from "../api.ts";
import { notify } from "../notices.ts";
import { createDrag, type Drag } from "./queue-drag.ts";

/** So many can be folded away. */
const LONG = 5;
/** As many as wait at most (`MAX_QUEUE` in `sandbox-runner/protocol/src/api.rs`). */
const MOST = 20;

export function Queue(props: { id: SessionId; client: SessionClient }): JSX.Element {
  const timeline = () => props.client.store.timeline();
  /** An order that the server has not told yet. */
  const [wanted, setWanted] = createSignal<readonly PromptId[] | undefined>();
  const waiting = createMemo(() => {
    const queue = timeline().queue();
    const order = wanted();
    if (!order) return queue;
    return [...queue].sort((one, other) => order.indexOf(one.prompt.id) - order.indexOf(other.prompt.id));
  });
  const reorder = async (order: readonly PromptId[]) => {
    setWanted(order);
    try {
      await api.reorderQueue(props.id, { order: [...order] });
    } catch (error) {
      setWanted(undefined);
      notify(messageOf(error));
    }
  };
  let list!: HTMLOListElement;
  const drag = createDrag(
    () => [...list.querySelectorAll<HTMLElement>(":scope > .queued:not(.outgoing)")],
    (from, to) => {
      const order = waiting().map(({ prompt }) => prompt.id);
      order.splice(to, 0, ...order.splice(from, 1));
      void reorder(order);
    },
  );
  // Whatever has changed, what is held would not be let go where it looks.
  createEffect(
    on(() => timeline().queue(), () => {
      setWanted(undefined);
      drag.cancel();
    }, { defer: true }),
  );
  const outgoing = () => props.client.store.outbox.items();
  // A long queue leaves a phone no room to read.
  const [folded, setFolded] = createSignal(matchMedia("(max-width: 640px)").matches);
  const isLong = createMemo(() => waiting().length >= LONG);
  // What was refused shows nowhere else.
  const isFolded = () => isLong() && folded() && outgoing().every(({ refusal }) => refusal === undefined);
  // Nobody loses what they are editing because of what others add.
  createComputed(
    on(isLong, (long) => {
      if (long && list?.contains(document.activeElement)) setFolded(false);
    }, { defer: true }),
  );
  return (
    <>
      <Show when={timeline().paused()}>
        {(by) => <Paused id={props.id} by={by()} waiting={waiting().length} />}
      </Show>
      <Show when={waiting().length + outgoing().length > 0}>
        <section class="queue" aria-label="Queue">
          <Show when={isLong()}>
            <button class="queue-head" aria-expanded={!isFolded()} onClick={() => setFolded(!isFolded())}>
              <Icon name="chevron" class={isFolded() ? "" : "turned"} />
              {waiting().length} prompts wait{waiting().length >= MOST ? ", no more fit" : ""}
            </button>
          </Show>
          <ol ref={list} classList={{ dragging: drag.dragging() }} hidden={isFolded()}>
            <For each={waiting()}>
              {(item, index) => (
                <WaitingPrompt
                  id={props.id}
                  waiting={item}
                  place={index()}
                  order={waiting().map(({ prompt }) => prompt.id)}
                  drag={drag}
                  reorder={reorder}
                  running={timeline().running() !== undefined}
                />
              )}
            </For>
            <For each={outgoing()}>{(item) => <OutgoingPrompt client={props.client} outgoing={item} />}</For>
          </ol>
        </section>
      </Show>
    </>
  );
}

/** After a stop nothing starts by itself. */
function Paused(props: { id: SessionId; by: Person; waiting: number }): JSX.Element {
  const [busy, setBusy] = createSignal(false);
  const attempt = async (change: Promise<void>) => {
    setBusy(true);
    try {
      await change;
    } catch (error) {
      notify(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  const words = () => (props.waiting === 1 ? "1 prompt waits" : `${props.waiting} prompts wait`);
  return (
    <div class="paused" role="status">
      <Icon name="pause" />
      <p>
        The queue is paused: {displayName(props.by)} stopped the agent.
        <Show when={props.waiting > 0}> {words()}.</Show>
      </p>
      <span class="paused-actions">
        <Show when={props.waiting > 0}>
          <button class="button" disabled={busy()} onClick={() => void attempt(api.clearQueue(props.id))}>
            Clear
          </button>
        </Show>
        <button class="button primary" disabled={busy()} onClick={() => void attempt(api.resumeQueue(props.id))}>
          Resume
        </button>
      </span>
    </div>
  );
}

function WaitingPrompt(props: {
  id: SessionId;
  waiting: Waiting;
  place: number;
  /** Of all that wait. */
  order: readonly PromptId[];
  drag: Drag;
  reorder: (order: readonly PromptId[]) => Promise<void>;
  running: boolean;
}): JSX.Element {
  const [draft, setDraft] = createSignal<string | undefined>();
  const [busy, setBusy] = createSignal(false);
  const prompt = () => props.waiting.prompt;
  let upward: HTMLButtonElement | undefined;
  let downward: HTMLButtonElement | undefined;

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

  // Whoever moves a row by keyboard moves it on from where it is then.
  let moving: "up" | "down" | undefined;
  const canMove = (by: -1 | 1) => props.place + by >= 0 && props.place + by < props.order.length;
  const move = (by: -1 | 1) => {
    if (busy() || !canMove(by)) return;
    const order = props.order.filter((id) => id !== prompt().id);
    order.splice(props.place + by, 0, prompt().id);
    moving = by < 0 ? "up" : "down";
    void attempt(() => props.reorder(order));
  };
  createEffect(
    on([() => props.place, busy], () => {
      if (moving === undefined || busy()) return;
      const wanted = moving === "up" ? [upward, downward] : [downward, upward];
      wanted.find((button) => button && !button.disabled)?.focus();
      moving = undefined;
    }, { defer: true }),
  );
  const keyDown = (event: KeyboardEvent) => {
    if (!event.altKey || draft() !== undefined) return;
    if (event.key === "ArrowUp") move(-1);
    else if (event.key === "ArrowDown") move(1);
    else return;
    event.preventDefault();
  };
  const look = () => props.drag.look(props.place);
  const attached = () => prompt().attachments?.length ?? 0;
  return (
    <li
      class="queued"
      classList={{ held: look().held }}
      style={{ transform: look().by === 0 ? undefined : `translateY(${look().by}px)` }}
      onKeyDown={keyDown}
    >
      <Show when={props.order.length > 1 && draft() === undefined}>
        <span
          class="queued-grip"
          title="Drag to reorder"
          aria-hidden="true"
          onPointerDown={(event) => props.drag.start(event, props.place)}
        >
          <Icon name="grip" />
        </span>
      </Show>
      <Avatar person={prompt().author} size="small" />
      <Show
        when={draft() !== undefined}
        fallback={
          <>
            {/* The prompt alone says in which direction it is read. */}
            <p class="queued-text" dir="auto" title={prompt().text}>
              <bdi class="unseen">{displayName(prompt().author)}: </bdi>
              {prompt().text}
              <Show when={props.waiting.editedBy}>
                {(person) => <bdi class="quiet"> · edited by {displayName(person())}</bdi>}
              </Show>
            </p>
            <Show when={attached() > 0}>
              <span class="queued-files quiet" title={attached() === 1 ? "1 attachment" : `${attached()} attachments`}>
                <Icon name="clip" /> {attached()}
              </span>
            </Show>
            <Show when={prompt().mode === "insert"}>
              <span class="tag">next step</span>
            </Show>
            <span class="queued-actions">
              <Show when={props.running}>
                <button
                  class="icon-button"
                  aria-label="Insert now"
                  title="Insert now: the agent reads it at its next step"
                  disabled={busy()}
                  onClick={() => void attempt(() => api.insertPrompt(props.id, prompt().id))}
                >
                  <Icon name="insert" />
                </button>
              </Show>
              <Show when={props.order.length > 1}>
                <button
                  ref={upward}
                  class="icon-button"
                  aria-label="Move up"
                  title="Move up (Alt ↑)"
                  disabled={busy() || !canMove(-1)}
                  onClick={() => move(-1)}
                >
                  <Icon name="up" />
                </button>
                <button
                  ref={downward}
                  class="icon-button"
                  aria-label="Move down"
                  title="Move down (Alt ↓)"
                  disabled={busy() || !canMove(1)}
                  onClick={() => move(1)}
                >
                  <Icon name="down" />
                </button>
              </Show>
              <button
                class="icon-button"
                aria-label="Edit"
                title="Edit"
                disabled={busy()}
                onClick={() => setDraft(prompt().text)}
              >
                <Icon name="pencil" />
              </button>
              <button
                class="icon-button"
                aria-label="Remove from the queue"
                title="Remove from the queue"
                disabled={busy()}
                onClick={() => void attempt(() => api.cancelPrompt(props.id, prompt().id))}
              >
                <Icon name="cross" />
              </button>
            </span>
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
            dir="auto"
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
      <p class="queued-text" dir="auto">
        {props.outgoing.text}
        <Show when={props.outgoing.attachments.length > 0}>
          <bdi class="quiet"> · {props.outgoing.attachments.map(({ name }) => name).join(", ")}</bdi>
        </Show>
        <bdi class="quiet"> · {props.outgoing.refusal ?? (sent() ? "sending…" : "will be sent when connected")}</bdi>
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
