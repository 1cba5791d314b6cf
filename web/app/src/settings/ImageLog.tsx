/** The log of an image's build, followed while it grows. */
import { Show, createEffect, createSignal, on, onCleanup, type JSX } from "solid-js";

import type { ImageId, Repository } from "#ui/protocol.ts";
import { Icon, Spinner } from "#ui/view/Icon.tsx";
import { plainOutput } from "#ui/view/tool.ts";

import { api, messageOf } from "../api.ts";

const AGAIN_MS = 1_000;
const AFTER_FAILURE_MS = 5_000;
/** The end of a log is what is looked for; a page of megabytes would stand still. */
const KEPT_UNITS = 400_000;
/** Near enough to the end to stay there. */
const NEAR_PX = 40;

export function ImageLog(props: { repository: Repository; image: ImageId }): JSX.Element {
  const [text, setText] = createSignal("");
  const [complete, setComplete] = createSignal(false);
  const [problem, setProblem] = createSignal<string | undefined>();
  let box!: HTMLPreElement;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  let offset = 0;

  const follow = async () => {
    try {
      const piece = await api.imageLog(props.repository, props.image, offset);
      if (ended) return;
      const anew = piece.next_offset < offset;
      offset = piece.next_offset;
      setProblem(undefined);
      setComplete(piece.complete);
      if (anew || piece.text) setText((before) => ((anew ? "" : before) + piece.text).slice(-KEPT_UNITS));
      if (!piece.complete) timer = setTimeout(() => void follow(), AGAIN_MS);
    } catch (error) {
      if (ended) return;
      setProblem(messageOf(error));
      timer = setTimeout(() => void follow(), AFTER_FAILURE_MS);
    }
  };
  void follow();
  onCleanup(() => {
    ended = true;
    clearTimeout(timer);
  });

  // Measured before the text grows, moved after.
  let near = true;
  createEffect(
    on(text, () => {
      if (near) box.scrollTop = box.scrollHeight;
    }),
  );

  return (
    <div class="image-log">
      <pre
        ref={box}
        tabindex="0"
        role="region"
        aria-label="Log"
        onScroll={() => (near = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX)}
      >
        {plainOutput(text())}
        <Show when={complete() && text() === ""}>
          <span class="quiet">Nothing was logged.</span>
        </Show>
      </pre>
      <Show when={!complete() && problem() === undefined}>
        <p class="quiet small" role="status">
          <Spinner /> Following the log
        </p>
      </Show>
      <Show when={problem()}>
        {(message) => (
          <p class="small bad" role="alert">
            <Icon name="warning" /> {message()}
          </p>
        )}
      </Show>
    </div>
  );
}
