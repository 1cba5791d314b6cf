/**
 * The title of a session, which whoever works in it can change in place. The new one shows at once;
 * if the server does not take it, the old one comes back, and what was written can be tried again.
 */
import { Show, createEffect, createSignal, on, type Accessor, type JSX } from "solid-js";

import type { SessionId } from "#ui/protocol.ts";

import { api, messageOf } from "../api.ts";
import { notify } from "../notices.ts";

/** As the server counts (`MAX_TITLE` in `src/api/sessions.rs`). */
const LONGEST = 200;

const [renaming, setRenaming] = createSignal<SessionId | undefined>();

/** Opens the field, for whatever else on the page offers it. */
export function startRenaming(id: SessionId): void {
  setRenaming(id);
}

export interface Naming {
  readonly name: Accessor<string>;
  rename(to: string): Promise<void>;
}

/** `known`: what the log says, or what it said before. */
export function createNaming(id: SessionId, known: Accessor<string>): Naming {
  const [wanted, setWanted] = createSignal<string | undefined>();
  createEffect(on(known, () => setWanted(undefined), { defer: true }));
  const rename = async (to: string): Promise<void> => {
    const title = to.split(/\s+/).filter(Boolean).join(" ");
    if (title === "" || title === known()) return;
    setWanted(title);
    try {
      await api.renameSession(id, { title });
    } catch (error) {
      setWanted(undefined);
      notify(`The session keeps its name. ${messageOf(error)}`, {
        action: { label: "Try again", run: () => void rename(title) },
      });
    }
  };
  return { name: () => wanted() ?? known(), rename };
}

export function SessionTitle(props: { id: SessionId; naming: Naming; fixed: boolean }): JSX.Element {
  const { naming } = props;
  const editing = () => renaming() === props.id && !props.fixed;
  let button: HTMLButtonElement | undefined;
  /** By key, the focus goes back to where it was; by pointer, it is where that went. */
  const close = (byKey: boolean) => {
    setRenaming(undefined);
    if (byKey) queueMicrotask(() => button?.focus());
  };
  const done = (text: string, byKey: boolean) => {
    // Closing removes the field, which tells of a lost focus once more.
    if (!editing()) return;
    close(byKey);
    void naming.rename(text);
  };
  const keyDown = (event: KeyboardEvent & { currentTarget: HTMLInputElement }) => {
    if (event.isComposing) return;
    if (event.key === "Enter") done(event.currentTarget.value, true);
    else if (event.key === "Escape") close(true);
    else return;
    // Esc stops the agent where nothing else takes it.
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <Show
      when={editing()}
      fallback={
        // The direction stands at what holds the text itself: Chromium does not read it again when
        // an element with text comes into one that has it.
        <h1 title={naming.name()}>
          <Show when={!props.fixed && naming.name() !== ""} fallback={<span dir="auto">{naming.name()}</span>}>
            <button ref={button} class="title-button" dir="auto" title="Rename" onClick={() => startRenaming(props.id)}>
              {naming.name()}
            </button>
          </Show>
        </h1>
      }
    >
      <input
        class="title-field"
        type="text"
        aria-label="Title of the session"
        dir="auto"
        autocomplete="off"
        maxlength={LONGEST}
        value={naming.name()}
        ref={(field) =>
          queueMicrotask(() => {
            field.focus();
            field.select();
          })
        }
        onKeyDown={keyDown}
        onBlur={(event) => done(event.currentTarget.value, false)}
      />
    </Show>
  );
}
