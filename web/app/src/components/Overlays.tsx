/** What lies over any page: the palette and the list of shortcuts. And the shortcuts that every page has. */
import { Match, Suspense, Switch, createSignal, lazy, type JSX } from "solid-js";

import { openSession } from "../lobby.ts";
import { navigate, sessionPath } from "../router.ts";
import { neighbour } from "../sessions.ts";
import { bindShortcut } from "../shortcuts.ts";

// They come with their first use.
const Palette = lazy(() => import("./Palette.tsx"));
const ShortcutHelp = lazy(() => import("./ShortcutHelp.tsx"));

export type Overlay = "palette" | "shortcuts";

const [overlay, setOverlay] = createSignal<Overlay | undefined>();

export function openOverlay(wanted: Overlay): void {
  setOverlay(wanted);
}

export function Overlays(): JSX.Element {
  const close = () => setOverlay(undefined);
  bindShortcut("palette", () => setOverlay(overlay() === "palette" ? undefined : "palette"));
  bindShortcut("help", () => setOverlay("shortcuts"));
  bindShortcut("newSession", () => {
    close();
    navigate("/new");
  });
  bindShortcut("list", () => {
    const search = document.querySelector<HTMLInputElement>(".list-search");
    // Beside a session on a wide screen; on a narrow one the list is a page of its own.
    if (search?.checkVisibility()) search.focus();
    else navigate("/");
  });
  const go = (by: 1 | -1) => {
    const id = neighbour(openSession(), by);
    if (id !== undefined) navigate(sessionPath(id));
  };
  bindShortcut("next", () => go(1));
  bindShortcut("previous", () => go(-1));
  return (
    <Suspense>
      <Switch>
        <Match when={overlay() === "palette"}>
          <Palette close={close} openShortcuts={() => setOverlay("shortcuts")} />
        </Match>
        <Match when={overlay() === "shortcuts"}>
          <ShortcutHelp close={close} />
        </Match>
      </Switch>
    </Suspense>
  );
}
