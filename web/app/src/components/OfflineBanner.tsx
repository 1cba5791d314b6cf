import { Show, createSignal, onCleanup, onMount, type JSX } from "solid-js";

import { Spinner } from "#ui/view/Icon.tsx";

import { lobbyLink } from "../lobby.ts";
import { route } from "../router.ts";

/** Says when the page shows what was known last. A session says so itself, beside its timeline. */
export function OfflineBanner(): JSX.Element {
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
    if (route().page === "session") return undefined;
    if (!online()) return "You are offline. This is what was known last.";
    const link = lobbyLink();
    // One lost connection is back before anybody could read this.
    return link.phase === "reconnecting" && link.attempt > 1 ? "Reconnecting…" : undefined;
  };
  return (
    <div class="offline" role="status">
      <Show when={words()}>
        {(text) => (
          <p>
            <Spinner /> {text()}
          </p>
        )}
      </Show>
    </div>
  );
}
