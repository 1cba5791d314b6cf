/** Short messages that pass: what failed and what to do, or what there is to know. */
import { createSignal } from "solid-js";

export interface NoticeOptions {
  /** A problem unless said otherwise. */
  readonly kind?: "problem" | "news";
  readonly action?: { readonly label: string; readonly run: () => void };
}

export interface Notice extends NoticeOptions {
  readonly id: number;
  readonly message: string;
}

/** Long enough to be read, and to be acted on. */
const SHOWN_MS = 8_000;
const SHOWN_WITH_ACTION_MS = 20_000;

const [notices, setNotices] = createSignal<readonly Notice[]>([]);
let next = 1;

export { notices };

export function notify(message: string, options: NoticeOptions = {}): void {
  const notice = { id: next, message, ...options };
  next += 1;
  // The same message again replaces itself, so that a flapping connection does not fill the page.
  setNotices((shown) => [...shown.filter((other) => other.message !== message), notice]);
  setTimeout(() => dismiss(notice.id), options.action ? SHOWN_WITH_ACTION_MS : SHOWN_MS);
}

export function dismiss(id: number): void {
  setNotices((shown) => shown.filter((notice) => notice.id !== id));
}
