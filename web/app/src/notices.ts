/** Short messages that pass: what failed, and what to do. */
import { createSignal } from "solid-js";

export interface Notice {
  readonly id: number;
  readonly message: string;
}

/** Long enough to be read. */
const SHOWN_MS = 8_000;

const [notices, setNotices] = createSignal<readonly Notice[]>([]);
let next = 1;

export { notices };

export function notify(message: string): void {
  const notice = { id: next, message };
  next += 1;
  // The same message again replaces itself, so that a flapping connection does not fill the page.
  setNotices((shown) => [...shown.filter((other) => other.message !== message), notice]);
  setTimeout(() => dismiss(notice.id), SHOWN_MS);
}

export function dismiss(id: number): void {
  setNotices((shown) => shown.filter((notice) => notice.id !== id));
}
