/**
 * What somebody opened or folded, remembered beside the thing itself: its view comes and goes as
 * the page is scrolled.
 */
import { createSignal, type Signal } from "solid-js";

const kept = new WeakMap<object, Signal<boolean>>();

/** The same signal for the same thing, for as long as there is that thing. */
export function createKept(of: object, initial: boolean): Signal<boolean> {
  let signal = kept.get(of);
  if (!signal) {
    signal = createSignal(initial);
    kept.set(of, signal);
  }
  return signal;
}
