import { expect, test } from "vitest";

import { SHORTCUTS, isPressed, type ShortcutName } from "./shortcuts.ts";

const press = (key: string, more: Partial<KeyboardEvent> = {}) => ({
  key,
  code: `Key${key.toUpperCase()}`,
  metaKey: false,
  ctrlKey: false,
  altKey: false,
  shiftKey: false,
  ...more,
});

const names = Object.keys(SHORTCUTS) as ShortcutName[];
const pressed = (event: ReturnType<typeof press>, apple = false) => names.filter((name) => isPressed(event, name, apple));

test("a shortcut needs exactly its modifiers", () => {
  expect(pressed(press("k", { ctrlKey: true }))).toEqual(["palette"]);
  expect(pressed(press("k"))).toEqual([]);
  expect(pressed(press("k", { ctrlKey: true, shiftKey: true }))).toEqual([]);
  expect(pressed(press("O", { ctrlKey: true, shiftKey: true }))).toEqual(["newSession"]);
});

test("Mod is Command on Apple's systems and Control elsewhere", () => {
  expect(pressed(press("k", { metaKey: true }), true)).toEqual(["palette"]);
  expect(pressed(press("k", { metaKey: true }), false)).toEqual([]);
  expect(pressed(press("k", { ctrlKey: true }), true)).toEqual([]);
});

test("Alt with a letter counts by the key's place, whatever it types", () => {
  expect(pressed(press("∆", { code: "KeyJ", altKey: true }), true)).toEqual(["next"]);
  expect(pressed(press("˚", { code: "KeyK", altKey: true }), true)).toEqual(["previous"]);
});

test("a sign counts however a keyboard makes it", () => {
  expect(pressed(press("?", { shiftKey: true, code: "Slash" }))).toEqual(["help"]);
  expect(pressed(press("/", { ctrlKey: true, shiftKey: true, code: "Digit7" }))).toEqual(["list"]);
});
