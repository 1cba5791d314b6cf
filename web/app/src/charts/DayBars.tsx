/** A bar for each day: what was opened, and in it what was merged. */
import { For, Index, createMemo, type JSX } from "solid-js";

import type { DayFigures } from "#ui/protocol.ts";

import { ceiling, dayName } from "./figures.ts";

const WIDTH = 720;
const HEIGHT = 190;
const LEFT = 28;
const BOTTOM = 22;
const TOP = 8;
const TALL = HEIGHT - BOTTOM - TOP;
/** As many days have their name. */
const NAMED = 6;

export function DayBars(props: { days: readonly DayFigures[]; label: string }): JSX.Element {
  const top = createMemo(() => ceiling(Math.max(...props.days.map((day) => Math.max(day.opened, day.merged)), 0)));
  const step = () => (WIDTH - LEFT) / Math.max(1, props.days.length);
  const wide = () => Math.max(2, Math.min(26, step() * 0.68));
  const tall = (value: number) => (value / top()) * TALL;
  const named = (index: number) => {
    const every = Math.ceil(props.days.length / NAMED);
    return (props.days.length - 1 - index) % every === 0;
  };
  return (
    <svg class="day-bars" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={props.label}>
      <For each={[0, 0.5, 1]}>
        {(part) => (
          <>
            <line class="grid" x1={LEFT} x2={WIDTH} y1={TOP + TALL * (1 - part)} y2={TOP + TALL * (1 - part)} />
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
