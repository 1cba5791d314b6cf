/** A list that only grows at its end, or is taken from there, and tells whoever reads it. */
import { createSignal, type Accessor } from "solid-js";

/** The same array is changed in place and announced, since copying would make folding quadratic. */
export function list<T>(): { all: Accessor<readonly T[]>; push(item: T): void; take(from?: number): T[] } {
  const items: T[] = [];
  const [changed, announce] = createSignal(undefined, { equals: false });
  return {
    all: () => (changed(), items),
    push(item) {
      items.push(item);
      announce();
    },
    take(from = 0) {
      const taken = items.splice(from);
      announce();
      return taken;
    },
  };
}

export type List<T> = ReturnType<typeof list<T>>;
