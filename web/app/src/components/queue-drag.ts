/**
 * Moving a row of a list with a pointer or a finger. While it is held the rows only look moved
 * (transforms), so nothing is laid out anew and nothing jumps; the order changes when it is let go.
 * Keys have buttons of their own.
 */
import { createSignal, onCleanup, type Accessor } from "solid-js";

interface Held {
  readonly from: number;
  readonly to: number;
  /** Pixels from where it was. */
  readonly by: number;
  readonly height: number;
}

/** Where rows stood when one was taken up. */
export interface Row {
  readonly top: number;
  readonly height: number;
}

/** Where the row `from` belongs once it is `by` pixels from its place: it has passed middles. */
export function placeOf(rows: readonly Row[], from: number, by: number): number {
  const held = rows[from];
  if (!held) return from;
  const top = held.top + by;
  const bottom = top + held.height;
  let to = from;
  rows.forEach((row, place) => {
    const middle = row.top + row.height / 2;
    if (place > from && bottom > middle) to = Math.max(to, place);
    if (place < from && top < middle) to = Math.min(to, place);
  });
  return to;
}

/** This close to an edge the list scrolls on. */
const EDGE_PX = 20;
const SCROLL_PX = 6;

export interface Drag {
  /** For the handle of a row. */
  start(event: PointerEvent, place: number): void;
  /** How far a row looks moved, and whether it is the one that is held. */
  look(place: number): { readonly by: number; readonly held: boolean };
  readonly dragging: Accessor<boolean>;
  cancel(): void;
}

export function createDrag(rows: () => readonly HTMLElement[], drop: (from: number, to: number) => void): Drag {
  const [held, setHeld] = createSignal<Held | undefined>();
  let release: (() => void) | undefined;
  const cancel = () => release?.();
  onCleanup(cancel);

  const start = (event: PointerEvent, from: number) => {
    const handle = event.currentTarget;
    if (event.button !== 0 || held() || !(handle instanceof HTMLElement)) return;
    event.preventDefault();
    const elements = rows();
    const scroller = elements[from]?.closest<HTMLElement>(".queue");
    const scrolled = () => scroller?.scrollTop ?? 0;
    const scrolledAtFirst = scrolled();
    const shape = elements.map((row) => ({ top: row.offsetTop, height: row.offsetHeight }));
    const first = shape[0]?.top ?? 0;
    const last = shape.at(-1) ?? { top: 0, height: 0 };
    const own = shape[from] ?? last;
    let y = event.clientY;
    let frame: number | undefined;

    const look = () => {
      const wanted = y - event.clientY + scrolled() - scrolledAtFirst;
      const by = Math.min(Math.max(wanted, first - own.top), last.top + last.height - own.height - own.top);
      setHeld({ from, to: placeOf(shape, from, by), by, height: own.height });
    };
    const scrollOn = () => {
      frame = requestAnimationFrame(scrollOn);
      const box = scroller?.getBoundingClientRect();
      if (!scroller || !box) return;
      const edge = y < box.top + EDGE_PX ? -1 : y > box.bottom - EDGE_PX ? 1 : 0;
      if (edge === 0) return;
      scroller.scrollTop += edge * SCROLL_PX;
      look();
    };
    const move = (moved: PointerEvent) => {
      y = moved.clientY;
      look();
    };
    const end = () => {
      const { to } = held() ?? { to: from };
      release?.();
      if (to !== from) drop(from, to);
    };
    const keyDown = (pressed: KeyboardEvent) => {
      if (pressed.key !== "Escape") return;
      pressed.preventDefault();
      pressed.stopPropagation();
      release?.();
    };
    release = () => {
      release = undefined;
      if (frame !== undefined) cancelAnimationFrame(frame);
      handle.removeEventListener("pointermove", move);
      handle.removeEventListener("pointerup", end);
      handle.removeEventListener("lostpointercapture", cancel);
      document.removeEventListener("keydown", keyDown, true);
      setHeld(undefined);
    };
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", end);
    handle.addEventListener("lostpointercapture", cancel);
    document.addEventListener("keydown", keyDown, true);
    look();
    scrollOn();
  };

  const look = (place: number) => {
    const now = held();
    if (!now) return { by: 0, held: false };
    if (place === now.from) return { by: now.by, held: true };
    if (place > now.from && place <= now.to) return { by: -now.height, held: false };
    if (place < now.from && place >= now.to) return { by: now.height, held: false };
    return { by: 0, held: false };
  };
  return { start, look, dragging: () => held() !== undefined, cancel };
}
