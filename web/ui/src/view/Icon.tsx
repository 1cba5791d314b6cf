/** Line icons on a 16 px grid. They decorate: what they mean is said in words beside them. */
import type { JSX } from "solid-js";

const PATHS = {
  plus: "M8 3.5v9M3.5 8h9",
  check: "m3.5 8.5 3 3 6-7",
  cross: "m4.5 4.5 7 7m0-7-7 7",
  chevron: "m6 4 4 4-4 4",
  down: "M8 3v9.5M4.2 8.8 8 12.5l3.8-3.7",
  up: "M8 13V3.5M4.2 7.2 8 3.5l3.8 3.7",
  back: "M13 8H3.5m3.7-3.8L3.5 8l3.7 3.8",
  stop: "M4.5 4.5h7v7h-7z",
  pencil: "m10.8 3.2 2 2L5.5 12.5 3 13l.5-2.5z",
  terminal: "m3 5 3 3-3 3m5 .5h5",
  file: "M4.5 2.5h4.7l2.3 2.3v8.7h-7zM9 2.8V5h2.3",
  search: "M7 11.2a4.2 4.2 0 1 0 0-8.4 4.2 4.2 0 0 0 0 8.4Zm3.1-1.1 3.1 3.1",
  list: "M6 4.5h7M6 8h7M6 11.5h7M3 4.5h.01M3 8h.01M3 11.5h.01",
  globe: "M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM2.7 8h10.6M8 2.5c3.2 3.5 3.2 7.5 0 11-3.2-3.5-3.2-7.5 0-11Z",
  wrench: "M12.9 4.7a3.2 3.2 0 0 1-4.3 3.9L5 12.3a1.3 1.3 0 0 1-1.8-1.8l3.7-3.6a3.2 3.2 0 0 1 3.9-4.3L9 4.5 11 6.5z",
  box: "m8 2.2 5 2.7v6.2l-5 2.7-5-2.7V4.9zM3.2 5 8 7.6 12.8 5M8 7.6v6",
  branch: "M5 5.5v5M5 5.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Zm0 8a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Zm6-7a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Zm0 0c0 3-6 1.5-6 4",
  pull: "M4.5 5.5v5M4.5 5.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Zm0 8a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Zm7 0a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Zm0-3v-4a2 2 0 0 0-2-2H7.5m1.7-2L7.3 4.5l1.9 2",
  commit: "M8 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM1.5 8h4m5 0h4",
  info: "M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM8 7.5v3M8 5.3h.01",
  warning: "M8 2.8 13.8 13H2.2zM8 6.8v2.9M8 11.3h.01",
  archive: "M2.5 3.5h11v3h-11zm1 3v6h9v-6M6.5 9h3",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  panel: "M2.5 3.5h11v9h-11zm7 0v9",
  lock: "M4 7.2h8v6H4zm1.8 0V5.3a2.2 2.2 0 0 1 4.4 0v1.9",
  spark: "M8 2.5 9.4 6.6 13.5 8 9.4 9.4 8 13.5 6.6 9.4 2.5 8l4.1-1.4z",
  clip: "m12.5 7.6-4.9 4.9a3 3 0 0 1-4.2-4.2l5.3-5.3a2 2 0 0 1 2.8 2.8L6.2 11a1 1 0 0 1-1.4-1.4l4.6-4.6",
  image: "M2.5 3.5h11v9h-11zm1 8 3-3.5 2.2 2.4 1.6-1.7 2.7 2.8M10.6 6.3h.01",
  fork: "M5 5.5v1.2c0 1 .8 1.8 1.8 1.8h2.4c1 0 1.8-.8 1.8-1.8V5.5M8 8.5v2M5 5.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Zm6 0a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Zm-3 8a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3Z",
  pause: "M6 4v8m4-8v8",
  play: "M5.5 3.8 12 8l-6.5 4.2z",
  insert: "M3 4h6M3 8h4M3 12h6m2-6.5L13.5 8 11 10.5M13.5 8H9",
  code: "m5.5 5-3 3 3 3m5-6 3 3-3 3",
  chat: "M2.5 3.5h11v7h-6l-3 2.5v-2.5h-2z",
  puzzle: "M3 6.5h2.2a1.4 1.4 0 1 1 2.6 0H10V9a1.4 1.4 0 1 1 0 2.6v1.9H3z",
  moon: "M12.8 9.6A5.3 5.3 0 0 1 6.4 3.2a5.3 5.3 0 1 0 6.4 6.4Z",
  diff: "M8 3v5M5.5 5.5h5M5.5 12.5h5",
  time: "M8 13.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM8 5v3.2l2 1.3",
  keyboard: "M2 4.5h12v7H2zM4.5 7h.01M7 7h.01M9.5 7h.01M12 7h.01M5 9.5h6",
  copy: "M5.5 5.5h7v7h-7zM3.5 10.5v-7h7",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon(props: { name: IconName; class?: string }): JSX.Element {
  return (
    <svg class={`icon ${props.class ?? ""}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[props.name]} />
    </svg>
  );
}

export function Spinner(): JSX.Element {
  return <span class="spinner" aria-hidden="true" />;
}
