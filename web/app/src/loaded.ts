/** Something that is asked for, asked for again, and may fail: what was known stays meanwhile. */
import { createSignal, onCleanup, type Accessor } from "solid-js";

import { messageOf } from "./api.ts";

export interface Loaded<T> {
  readonly value: Accessor<T | undefined>;
  readonly problem: Accessor<string | undefined>;
  reload(): Promise<void>;
}

/** Asks at once. Lives as long as the owner that calls it. */
export function createLoaded<T>(ask: () => Promise<T>): Loaded<T> {
  const [value, setValue] = createSignal<T | undefined>();
  const [problem, setProblem] = createSignal<string | undefined>();
  let newest = 0;
  const reload = async () => {
    newest += 1;
    const mine = newest;
    try {
      const found = await ask();
      if (mine !== newest) return;
      setValue(() => found);
      setProblem(undefined);
    } catch (error) {
      if (mine === newest) setProblem(messageOf(error));
    }
  };
  onCleanup(() => (newest += 1));
  void reload();
  return { value, problem, reload };
}
