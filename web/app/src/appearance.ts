/** Light, dark, or as the system says. */
import { createSignal } from "solid-js";

import { remember, remembered } from "./storage.ts";

const KEY = "appearance";

export const APPEARANCES = ["system", "light", "dark"] as const;
export type Appearance = (typeof APPEARANCES)[number];

const stored = remembered(KEY);
const [appearance, show] = createSignal<Appearance>(APPEARANCES.find((known) => known === stored) ?? "system");

export { appearance };

export function setAppearance(wanted: Appearance): void {
  show(wanted);
  remember(KEY, wanted === "system" ? "" : wanted);
  applyAppearance();
}

export function applyAppearance(): void {
  document.documentElement.dataset["appearance"] = appearance();
}
