/** Where a prompt is written. What is written survives a reload. */
import { Show, createSignal, onMount, type JSX } from "solid-js";

import { promptProblem } from "#ui/outbox.ts";
import { Icon, Spinner } from "#ui/view/Icon.tsx";

import { remember, remembered } from "../storage.ts";

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);

export function Composer(props: {
  /** Under which key the draft is remembered. */
  draft: string;
  label: string;
  placeholder: string;
  /** What the button does, in words. */
  action: string;
  rows: number;
  focus?: boolean;
  busy?: boolean;
  /** Left of the button. */
  tools?: JSX.Element;
  /** Beside the button: what else can be done. */
  beside?: JSX.Element;
  onTyped?: () => void;
  /** True when the text has been taken over and the field can be empty again. */
  onSubmit: (text: string) => boolean | Promise<boolean>;
}): JSX.Element {
  const [text, setText] = createSignal(remembered(props.draft));
  const [problem, setProblem] = createSignal<string | undefined>();
  let field!: HTMLTextAreaElement;

  onMount(() => {
    if (props.focus) field.focus();
  });

  const change = (value: string) => {
    setText(value);
    setProblem(undefined);
    remember(props.draft, value);
    props.onTyped?.();
  };

  const submit = async () => {
    if (props.busy) return;
    const written = text();
    const wrong = promptProblem(written);
    setProblem(wrong);
    if (wrong !== undefined) {
      field.focus();
      return;
    }
    if (!(await props.onSubmit(written))) return;
    setText("");
    remember(props.draft, "");
  };

  const keyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || !(event.metaKey || event.ctrlKey) || event.isComposing) return;
    event.preventDefault();
    void submit();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <textarea
        ref={field}
        aria-label={props.label}
        aria-invalid={problem() !== undefined}
        placeholder={props.placeholder}
        rows={props.rows}
        value={text()}
        onInput={(event) => change(event.currentTarget.value)}
        onKeyDown={keyDown}
      />
      <Show when={problem()}>
        {(message) => (
          <p class="composer-problem" role="alert">
            {message()}
          </p>
        )}
      </Show>
      <div class="composer-foot">
        <div class="composer-tools">{props.tools}</div>
        <span class="composer-hint quiet" aria-hidden="true">
          <kbd>{APPLE ? "⌘" : "Ctrl"}</kbd> <kbd>↵</kbd>
        </span>
        {props.beside}
        <button class="button primary" type="submit" disabled={props.busy}>
          <Show when={props.busy} fallback={<Icon name="up" />}>
            <Spinner />
          </Show>
          {props.action}
        </button>
      </div>
    </form>
  );
}
