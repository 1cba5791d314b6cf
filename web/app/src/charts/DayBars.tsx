/** A bar for each day: what was opened, and in it what was merged. */
import { For, Index, createMemo, createSignal, onCleanup, onMount, type JSX } from "solid-js";

import type { DayFigures } from "#ui/protocol.ts";

import { ceiling, dayName } from "./figures.ts";

const HEIGHT = 210;
const LEFT = 30;
const RIGHT = 14;
const BOTTOM = 22;
const TOP = 8;
const TALL = HEIGHT - BOTTOM - TOP;
/** From the name of one day to the next. */
const NAMED_PX = 84;

export function DayBars(props: { days: readonly DayFigures[]; label: string }): JSX.Element {
  // Drawn as wide as it is shown, so that letters keep their size.
  const [width, setWidth] = createSignal(720);
  let box!: SVGSVGElement;
  onMount(() => {
    const watch = new ResizeObserver(([entry]) => entry && setWidth(Math.max(200, entry.contentRect.width)));
    watch.observe(box);
    onCleanup(() => watch.disconnect());
  });
  const top = createMemo(() => ceiling(Math.max(...props.days.map((day) => Math.max(day.opened, day.merged)), 0)));
  const step = () => (width() - LEFT - RIGHT) / Math.max(1, props.days.length);
  const wide = () => Math.max(2, Math.min(26, step() * 0.68));
  const tall = (value: number) => (value / top()) * TALL;
  const named = (index: number) => {
    const every = Math.max(1, Math.ceil(NAMED_PX / step()));
    return (props.days.length - 1 - index) % every === 0;
  };
  return (
    <svg ref={box} class="day-bars" viewBox={`0 0 ${width()} ${HEIGHT}`} role="img" aria-label={props.label}>
      <For each={[0, 0.5, 1]}>
        {(part) => (
          <>
            <line class="grid" x1={LEFT} x2={width() - RIGHT} y1={TOP + TALL * (1 - part)} y2={TOP + TALL * (1 - part)} />
            <text class="axis" x={LEFT - 8} y={TOP + TALL * (1 - part) + 4} text-anchor="end">
              {top() * part}
            </text>
          </>
        )}
      </For>
      <Index each={props.days}>
        {(day, index) => {
          const x = () => LEFT + step() * index + (step() - wide()) / 2;
          return (
            <g>
              <title>{`${dayName(day().day)}: ${day().merged} merged, ${day().opened} opened`}</title>
              <rect class="reach" x={LEFT + step() * index} y={TOP} width={step()} height={TALL} />
              <rect class="opened" x={x()} width={wide()} y={TOP + TALL - tall(day().opened)} height={tall(day().opened)} rx="2" />
              <rect class="merged" x={x()} width={wide()} y={TOP + TALL - tall(day().merged)} height={tall(day().merged)} rx="2" />
              {named(index) && (
                <text class="axis" x={x() + wide() / 2} y={HEIGHT - 5} text-anchor="middle">
                  {dayName(day().day)}
                </text>
              )}
            </g>
          );
        }}
      </Index>
    </svg>
  );
}
