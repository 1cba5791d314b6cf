import { Show, createSignal, onCleanup, onMount, type JSX } from "solid-js";

import type { Link } from "#ui/socket.ts";
import { Spinner } from "#ui/view/Icon.tsx";

/** Says so when the page is not live, and nothing when it is. */
export function LinkState(props: { link: Link }): JSX.Element {
  const [online, setOnline] = createSignal(navigator.onLine);
  onMount(() => {
    const update = () => setOnline(navigator.onLine);
    window.addEventListener("online", update);
    window.addEventListener("offline", update);
    onCleanup(() => {
      window.removeEventListener("online", update);
      window.removeEventListener("offline", update);
    });
  });
  const words = () => {
    if (!online()) return "You are offline. What you send now is sent when you are back.";
    return props.link.phase === "reconnecting" ? "Reconnecting…" : undefined;
  };
  return (
    <div class="link-state" role="status">
      <Show when={words()}>
        {(text) => (
          <p class="link-words">
            <Spinner /> {text()}
          </p>
        )}
      </Show>
    </div>
  );
}
