/** Figures in words. Purely; what there is nothing of is a dash. */
import type { DayFigures, MissReason, PoolFigures } from "#ui/protocol.ts";
import { duration } from "#ui/view/duration.ts";

export const NONE = "–";

const whole = new Intl.NumberFormat("en");
const decimal = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const count = (value: number): string => whole.format(value);

export const average = (value: number | null): string => (value === null ? NONE : decimal.format(value));

export const percent = (share: number | null): string => (share === null ? NONE : `${Math.round(share * 100)} %`);

export const time = (ms: number | null): string => (ms === null ? NONE : duration(ms));

/** Cents matter below a hundred dollars. */
export function dollars(micro: number | null): string {
  if (micro === null) return NONE;
  const value = micro / 1_000_000;
  if (value > 0 && value < 0.01) return "< $0.01";
  return value < 100 ? `$${value.toFixed(2)}` : `$${whole.format(Math.round(value))}`;
}

export interface Trend {
  readonly days: number;
  readonly before: number;
  readonly after: number;
}

/** The second half of the days against the first; a day in the middle of an odd number counts in neither. */
export function trendOf(days: readonly DayFigures[]): Trend {
  const half = Math.floor(days.length / 2);
  const merged = (some: readonly DayFigures[]) => some.reduce((sum, day) => sum + day.merged, 0);
  return { days: half, before: merged(days.slice(0, half)), after: merged(days.slice(days.length - half)) };
}

export function trendWords({ days, before, after }: Trend): string {
  const against = `${count(after)} in the last ${days} days, ${count(before)} in the ${days} before`;
  if (before === 0) return against;
  const change = Math.round(((after - before) / before) * 100);
  if (change === 0) return `As many as before: ${against}`;
  return `${Math.abs(change)} % ${change > 0 ? "more" : "fewer"}: ${against}`;
}

export const MISSES: Readonly<Record<MissReason, string>> = {
  pool_empty: "The pool was empty",
  budget_spent: "The day's budget was spent",
  older_image: "Of an older image",
  other_model: "For another model",
  no_image: "No image yet",
};

/** What warm sandboxes cost; nothing where nobody said what one of them costs. */
export function poolCost(pool: Pick<PoolFigures, "cost_microdollars" | "cost_today_microdollars" | "budget_microdollars">): string {
  if (pool.cost_microdollars === null) return "";
  const budget = pool.budget_microdollars === null ? "" : ` of ${dollars(pool.budget_microdollars)}`;
  return `They cost ${dollars(pool.cost_microdollars)}, today ${dollars(pool.cost_today_microdollars)}${budget}.`;
}

/** "30 Nov", of a day in UTC. */
export function dayName(day: string): string {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
}

/** The next round number up, so that an axis ends at one. */
export function ceiling(most: number): number {
  if (most <= 4) return 4;
  const size = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 5, 10].map((step) => step * size).find((round) => round >= most) ?? most;
}
