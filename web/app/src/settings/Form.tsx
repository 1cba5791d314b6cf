/** Parts of forms: a labelled field, a form that says what went wrong, a section of a page. */
import { Show, createSignal, createUniqueId, type JSX, type ParentProps } from "solid-js";

import { Icon, Spinner } from "#ui/view/Icon.tsx";

import { messageOf } from "../api.ts";

export function Section(props: ParentProps<{ title: string; note?: JSX.Element; side?: JSX.Element }>): JSX.Element {
  return (
    <section class="settings-section">
      <div class="section-head">
        <div>
          <h2>{props.title}</h2>
          <Show when={props.note}>
            <p class="quiet">{props.note}</p>
          </Show>
        </div>
        {props.side}
      </div>
      {props.children}
    </section>
  );
}

/** `control` gets the identifiers that tie it to its words. */
export function Field(props: {
  label: string;
  hint?: JSX.Element;
  control: (ids: { id: string; "aria-describedby": string | undefined }) => JSX.Element;
}): JSX.Element {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.control({ id, "aria-describedby": props.hint === undefined ? undefined : `${id}-hint` })}
      <Show when={props.hint}>
        <p class="quiet small" id={`${id}-hint`}>
          {props.hint}
        </p>
      </Show>
    </div>
  );
}

interface WrittenField {
  readonly label: string;
  readonly hint?: JSX.Element;
  readonly placeholder?: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
}

/** One line of a name, an address or the like: no language, so nothing corrects it. */
export function LineField(props: WrittenField & { prose?: boolean; disabled?: boolean }): JSX.Element {
  return (
    <Field
      label={props.label}
      hint={props.hint}
      control={(ids) => (
        <input
          {...ids}
          class={props.prose ? undefined : "mono"}
          type="text"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          placeholder={props.placeholder}
          disabled={props.disabled}
          value={props.value}
          onInput={(event) => props.onInput(event.currentTarget.value)}
        />
      )}
    />
  );
}

/** The same over several lines. */
export function LinesField(props: WrittenField & { rows: number }): JSX.Element {
  return (
    <Field
      label={props.label}
      hint={props.hint}
      control={(ids) => (
        <textarea
          {...ids}
          class="mono"
          rows={props.rows}
          spellcheck={false}
          placeholder={props.placeholder}
          value={props.value}
          onInput={(event) => props.onInput(event.currentTarget.value)}
        />
      )}
    />
  );
}

/** `save` throws what is to be said. */
export function Form(
  props: ParentProps<{ label: string; action: string; save: () => Promise<void>; beside?: JSX.Element }>,
): JSX.Element {
  const [busy, setBusy] = createSignal(false);
  const [problem, setProblem] = createSignal<string | undefined>();
  const submit = async () => {
    if (busy()) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await props.save();
    } catch (error) {
      setProblem(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      class="form"
      aria-label={props.label}
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      {props.children}
      <Show when={problem()}>
        {(message) => (
          <p class="callout bad" role="alert">
            <Icon name="warning" /> {message()}
          </p>
        )}
      </Show>
      <div class="form-foot">
        <button class="button primary" type="submit" disabled={busy()}>
          <Show when={busy()}>
            <Spinner />
          </Show>
          {props.action}
        </button>
        {props.beside}
      </div>
    </form>
  );
}

/** Asks once more, in place, before something cannot be taken back. */
export function Confirmed(props: { label: string; words: string; run: () => Promise<void> }): JSX.Element {
  const [asking, setAsking] = createSignal(false);
  return (
    <Show
      when={asking()}
      fallback={
        <button class="button" type="button" aria-label={props.label} onClick={() => setAsking(true)}>
          {props.words}
        </button>
      }
    >
      <span class="confirm" role="group" aria-label={props.label}>
        <button
          class="button danger"
          type="button"
          ref={(button) => queueMicrotask(() => button.focus())}
          onClick={() => void props.run().finally(() => setAsking(false))}
        >
          {props.words}
        </button>
        <button class="button" type="button" onClick={() => setAsking(false)}>
          Keep
        </button>
      </span>
    </Show>
  );
}
