/** Where a prompt is written. What is written survives a reload. */
import { For, Show, createSignal, onCleanup, onMount, type JSX } from "solid-js";

import { promptProblem } from "#ui/outbox.ts";
import type { Artifact } from "#ui/protocol.ts";
import { Uploads, type Send } from "#ui/uploads.ts";
import { Icon, Spinner } from "#ui/view/Icon.tsx";

import { isPressed, keySigns } from "../shortcuts.ts";
import { remember, remembered } from "../storage.ts";
import { Attachments } from "./Attachments.tsx";

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
  onTyped?: (text: string) => void;
  /** Where files go, or those that somebody else keeps. */
  upload: Send | Uploads;
  /** True when the text has been taken over and the field can be empty again. */
  onSubmit: (text: string, attachments: readonly Artifact[]) => boolean | Promise<boolean>;
}): JSX.Element {
  const [text, setText] = createSignal(remembered(props.draft));
  const [problem, setProblem] = createSignal<string | undefined>();
  const [dragged, setDragged] = createSignal(false);
  const { upload } = props;
  const uploads = upload instanceof Uploads ? upload : new Uploads(upload);
  if (uploads !== upload) onCleanup(() => uploads.clear());
  let field!: HTMLTextAreaElement;
  let picker!: HTMLInputElement;

  onMount(() => {
    if (props.focus) field.focus();
  });

  const change = (value: string) => {
    setText(value);
    setProblem(undefined);
    remember(props.draft, value);
    props.onTyped?.(value);
  };

  const submit = async () => {
    if (props.busy) return;
    const written = text();
    const wrong = promptProblem(written) ?? uploads.problem();
    setProblem(wrong);
    if (wrong !== undefined) {
      field.focus();
      return;
    }
    if (!(await props.onSubmit(written, uploads.artifacts()))) return;
    uploads.clear();
    setText("");
    remember(props.draft, "");
  };

  const attach = (files: FileList | null | undefined) => {
    if (!files || files.length === 0) return;
    uploads.add(files);
    setProblem(undefined);
  };

  const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;

  const keyDown = (event: KeyboardEvent) => {
    if (event.isComposing || !isPressed(event, "send")) return;
    event.preventDefault();
    void submit();
  };

  return (
    <form
      class="composer"
      classList={{ dragged: dragged() }}
      onPaste={(event) => {
        if (!event.clipboardData?.files.length) return;
        event.preventDefault();
        attach(event.clipboardData.files);
      }}
      onDragOver={(event) => {
        if (!holdsFiles(event)) return;
        event.preventDefault();
        setDragged(true);
      }}
      onDragLeave={(event) => {
        const to = event.relatedTarget;
        if (!(to instanceof Node && event.currentTarget.contains(to))) setDragged(false);
      }}
      onDrop={(event) => {
        if (!holdsFiles(event)) return;
        event.preventDefault();
        setDragged(false);
        attach(event.dataTransfer?.files);
      }}
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <textarea
        ref={field}
        aria-label={props.label}
        dir="auto"
        aria-invalid={problem() !== undefined}
        placeholder={props.placeholder}
        rows={props.rows}
        value={text()}
        onInput={(event) => change(event.currentTarget.value)}
        onKeyDown={keyDown}
      />
      <Attachments uploads={uploads} />
      <Show when={problem()}>
        {(message) => (
          <p class="composer-problem" role="alert">
            {message()}
          </p>
        )}
      </Show>
      <div class="composer-foot">
        <div class="composer-tools">
          <button class="icon-button" type="button" aria-label="Attach files" title="Attach files" onClick={() => picker.click()}>
            <Icon name="clip" />
          </button>
          <input
            ref={picker}
            class="unseen"
            type="file"
            multiple
            tabindex="-1"
            aria-label="Files to attach"
            onChange={(event) => {
              attach(event.currentTarget.files);
              event.currentTarget.value = "";
            }}
          />
          {props.tools}
        </div>
        <span class="composer-hint quiet" aria-hidden="true">
          <For each={keySigns("send")}>{(sign) => <kbd>{sign}</kbd>}</For>
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
