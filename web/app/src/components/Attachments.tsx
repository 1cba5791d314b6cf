/** Files beside the composer: what they are, how far they are, and what went wrong. */
import { For, Match, Show, Switch, type JSX } from "solid-js";

import { bytes, sizeOf, type Upload, type Uploads } from "#ui/uploads.ts";
import { Icon } from "#ui/view/Icon.tsx";

export function Attachments(props: { uploads: Uploads }): JSX.Element {
  return (
    <Show when={props.uploads.items().length > 0}>
      <ul class="uploads" aria-label="Attachments">
        {/* By place: an upload is another object with every step of its progress. */}
        <For each={props.uploads.items().map(({ id }) => id)}>
          {(id) => (
            <Show when={props.uploads.items().find((item) => item.id === id)}>
              {(item) => <UploadView upload={item()} uploads={props.uploads} />}
            </Show>
          )}
        </For>
      </ul>
    </Show>
  );
}

function UploadView(props: { upload: Upload; uploads: Uploads }): JSX.Element {
  const name = () => props.upload.file.name || "file";
  const sending = () => {
    const { state } = props.upload;
    return state.phase === "sending" ? state : undefined;
  };
  const failed = () => {
    const { state } = props.upload;
    return state.phase === "failed" ? state : undefined;
  };
  return (
    <li class="upload" classList={{ bad: failed() !== undefined }}>
      <Show when={props.upload.preview} fallback={<Icon name={failed() ? "warning" : "file"} />}>
        {(preview) => <img src={preview()} alt="" />}
      </Show>
      <span class="upload-main">
        <span class="upload-name" title={name()}>
          {name()}
        </span>
        <Switch fallback={<span class="quiet">{bytes(sizeOf(props.upload))}</span>}>
          <Match when={sending()}>
            {(state) => (
              <progress max="1" value={state().progress} aria-label={`Uploading ${name()}`}>
                {Math.round(state().progress * 100)} %
              </progress>
            )}
          </Match>
          <Match when={failed()}>
            {(state) => (
              <span class="upload-problem" role="alert">
                {state().message}
              </span>
            )}
          </Match>
        </Switch>
      </span>
      <Show when={failed()?.again}>
        <button class="button" type="button" onClick={() => props.uploads.retry(props.upload.id)}>
          Try again
        </button>
      </Show>
      <button
        class="icon-button"
        type="button"
        aria-label={`Remove ${name()}`}
        onClick={() => props.uploads.remove(props.upload.id)}
      >
        <Icon name="cross" />
      </button>
    </li>
  );
}
