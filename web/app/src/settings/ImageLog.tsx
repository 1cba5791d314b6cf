/** The log of an image's build as it is written: a stream, which goes on from where it was. */
import { Show, createEffect, createSignal, on, onCleanup, type JSX } from "solid-js";

import type { ImageId, ImageLog as Piece, Repository } from "#ui/protocol.ts";
import { Icon, Spinner } from "#ui/view/Icon.tsx";
import { plainOutput } from "#ui/view/tool.ts";

import { imageLogPath } from "../api.ts";

/** The browser comes back by itself to a stream that broke, and not to one that was refused. */
const AFTER_REFUSAL_MS = 5_000;
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
  let stream: EventSource | undefined;
  let offset = 0;
  /** Streams end after some minutes; only one that does not come back is worth words. */
  let failures = 0;

  const follow = () => {
    const source = new EventSource(`${imageLogPath(props.repository, props.image)}?offset=${offset}`);
    stream = source;
    source.onopen = () => {
      failures = 0;
      setProblem(undefined);
    };
    source.onmessage = ({ data }) => {
      const piece = JSON.parse(String(data)) as Piece;
      const anew = piece.next_offset < offset;
      offset = piece.next_offset;
      if (anew || piece.text) setText((before) => ((anew ? "" : before) + piece.text).slice(-KEPT_UNITS));
      if (!piece.complete) return;
      setComplete(true);
      source.close();
    };
    source.onerror = () => {
      failures += 1;
      if (failures > 1) setProblem("The log cannot be reached. It goes on by itself once it can.");
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(follow, AFTER_REFUSAL_MS);
    };
  };
  follow();
  onCleanup(() => {
    clearTimeout(timer);
    stream?.close();
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
      <Show when={!complete() && problem()}>
        {(message) => (
          <p class="small bad" role="alert">
            <Icon name="warning" /> {message()}
          </p>
        )}
      </Show>
    </div>
  );
}
