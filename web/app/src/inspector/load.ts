/** Something that a panel asks the server for: what is known stays while it is asked for anew. */
import { createSignal, onCleanup, type Accessor } from "solid-js";

import { ApiError, messageOf } from "../api.ts";

export type Loaded<T> =
  | { readonly phase: "loading" }
  | { readonly phase: "ready"; readonly value: T }
  | { readonly phase: "failed"; readonly message: string; readonly code: string; readonly status: number };

export interface Load<T> {
  readonly state: Accessor<Loaded<T>>;
  readonly busy: Accessor<boolean>;
  /**
   * `keep`: what is shown stays until the answer is here, and if there is none. Resolves when it is
   * over, however.
   */
  again(keep?: boolean): Promise<void>;
}

/** `change` puts `value`, which came, in the place of what is shown. */
export function createLoad<T>(
  ask: () => Promise<T>,
  replace = (change: () => void, _value: T): void => change(),
): Load<T> {
  const [state, setState] = createSignal<Loaded<T>>({ phase: "loading" });
  const [busy, setBusy] = createSignal(false);
  // Only the newest answer counts: an earlier request may be slower.
  let newest = 0;
  const again = async (keep = false) => {
    newest += 1;
    const mine = newest;
    setBusy(true);
    if (!keep) setState({ phase: "loading" });
    try {
      const value = await ask();
      if (mine === newest) replace(() => setState({ phase: "ready", value }), value);
    } catch (error) {
      if (mine !== newest || (keep && state().phase !== "loading")) return;
      const { code, status } = error instanceof ApiError ? error : { code: "unexpected", status: 0 };
      setState({ phase: "failed", message: messageOf(error), code, status });
    } finally {
      if (mine === newest) setBusy(false);
    }
  };
  // Who is offline asks again by coming back.
  const online = () => {
    if (state().phase === "failed") void again();
  };
  window.addEventListener("online", online);
  onCleanup(() => {
    newest += 1;
    window.removeEventListener("online", online);
  });
  return { state, busy, again };
}
