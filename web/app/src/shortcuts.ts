/**
 * Every shortcut: what it is called, which keys it has, and what pressing them does. Pages bind by
 * name; the list under `?` is this list.
 */
import { onCleanup, onMount } from "solid-js";

const APPLE = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.platform);

export interface Shortcut {
  readonly label: string;
  /** `Mod` is Command on Apple's systems and Control elsewhere. */
  readonly keys: string;
  readonly where: "Everywhere" | "Writing" | "In a session";
}

export const SHORTCUTS = {
  palette: { label: "Search sessions, repositories and actions", keys: "Mod+K", where: "Everywhere" },
  newSession: { label: "New session", keys: "Mod+Shift+O", where: "Everywhere" },
  list: { label: "Go to the list of sessions", keys: "Mod+/", where: "Everywhere" },
  next: { label: "Next session", keys: "Alt+J", where: "Everywhere" },
  previous: { label: "Previous session", keys: "Alt+K", where: "Everywhere" },
  help: { label: "Show the shortcuts", keys: "?", where: "Everywhere" },
  send: { label: "Send the prompt", keys: "Mod+Enter", where: "Writing" },
  stop: { label: "Stop the agent", keys: "Escape Escape", where: "In a session" },
} as const satisfies Record<string, Shortcut>;

export type ShortcutName = keyof typeof SHORTCUTS;

type Pressed = Pick<KeyboardEvent, "key" | "code" | "metaKey" | "ctrlKey" | "altKey" | "shiftKey">;

/** By the key's place for letters with Alt, which types something else on some keyboards. */
export function isPressed(event: Pressed, name: ShortcutName, apple = APPLE): boolean {
  const keys = SHORTCUTS[name].keys.split("+");
  const key = keys.at(-1) ?? "";
  const mod = keys.includes("Mod");
  if (mod !== (apple ? event.metaKey : event.ctrlKey)) return false;
  if (apple ? event.ctrlKey : event.metaKey) return false;
  if (keys.includes("Alt") !== event.altKey) return false;
  // What needs Shift to be typed at all depends on the keyboard.
  if (/^\w+$/.test(key) && keys.includes("Shift") !== event.shiftKey) return false;
  if (event.altKey) return event.code === `Key${key}`;
  return event.key.toLowerCase() === key.toLowerCase();
}

/** While the component lives, the keys do this. Keys without a modifier are left to fields. */
export function bindShortcut(name: ShortcutName, run: () => void): void {
  const plain = !/Mod|Alt/.test(SHORTCUTS[name].keys);
  const keyDown = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing || !isPressed(event, name)) return;
    if (plain && event.target instanceof HTMLElement && isField(event.target)) return;
    event.preventDefault();
    run();
  };
  onMount(() => document.addEventListener("keydown", keyDown));
  onCleanup(() => document.removeEventListener("keydown", keyDown));
}

function isField(element: HTMLElement): boolean {
  return element.isContentEditable || element.matches("input, textarea, select");
}

const SIGNS: Readonly<Record<string, string>> = { Enter: "↵", Escape: "Esc" };
const APPLE_SIGNS: Readonly<Record<string, string>> = { Mod: "⌘", Shift: "⇧", Alt: "⌥" };
const OTHER_SIGNS: Readonly<Record<string, string>> = { Mod: "Ctrl" };

/** As they stand on the keys. */
export function keySigns(name: ShortcutName): readonly string[] {
  const signs = { ...SIGNS, ...(APPLE ? APPLE_SIGNS : OTHER_SIGNS) };
  return SHORTCUTS[name].keys.split(/[+ ]/).map((key) => signs[key] ?? key);
}
