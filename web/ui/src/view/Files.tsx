/** Files of a session: pictures in place, everything else by its name. Both open in a tab of their own. */
import { For, Show, createSignal, type JSX } from "solid-js";

import type { Artifact } from "../protocol.ts";
import { bytes, isPicture } from "../uploads.ts";
import { useSurroundings } from "./context.ts";
import { Icon } from "./Icon.tsx";

export function Files(props: { artifacts: readonly Artifact[] }): JSX.Element {
  return (
    <ul class="attached" aria-label="Attachments">
      <For each={props.artifacts}>
        {(artifact) => (
          <li>
            <FileView artifact={artifact} />
          </li>
        )}
      </For>
    </ul>
  );
}

export function FileView(props: { artifact: Artifact; large?: boolean }): JSX.Element {
  const { file } = useSurroundings();
  const [broken, setBroken] = createSignal(false);
  const address = () => file(props.artifact.id);
  const words = () => props.artifact.caption ?? props.artifact.name;
  return (
    <Show
      when={isPicture(props.artifact.media_type) && !broken()}
      fallback={
        <a class="file-card" href={address()} target="_blank" rel="noopener noreferrer" title={props.artifact.name}>
          <Icon name={isPicture(props.artifact.media_type) ? "image" : "file"} />
          <span class="file-name">{props.artifact.name}</span>
          <span class="quiet">{bytes(props.artifact.bytes)}</span>
        </a>
      }
    >
      <a
        class="picture"
        classList={{ large: props.large ?? false }}
        href={address()}
        target="_blank"
        rel="noopener noreferrer"
        title={props.artifact.name}
      >
        <img src={address()} alt={words()} loading="lazy" onError={() => setBroken(true)} />
      </a>
    </Show>
  );
}
