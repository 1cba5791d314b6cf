import { For, Show, createMemo, type Accessor, type JSX } from "solid-js";

/**
 * One element for each key. It stays, with all that somebody did to it, while its item is replaced
 * by a newer one; it is told only of one that is not the same.
 */
export function Keyed<T extends object>(props: {
  each: readonly T[];
  by: (item: T) => string;
  same?: (one: T, other: T) => boolean;
  children: (item: Accessor<T>) => JSX.Element;
}): JSX.Element {
  const items = createMemo(() => new Map(props.each.map((item) => [props.by(item), item])));
  const keys = createMemo(() => [...items().keys()]);
  return (
    <For each={keys()}>
      {(key) => {
        const item = createMemo((before: T | undefined) => {
          const now = items().get(key);
          return !now || (before && props.same?.(before, now)) ? before : now;
        });
        return <Show when={item()}>{(known) => props.children(known)}</Show>;
      }}
    </For>
  );
}
