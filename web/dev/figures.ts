/** What a team of some size might have come to. The same for everybody who asks, on every day. */
import type { DayFigures, PoolFigures, RepositoryFigures, Source, Statistics } from "../ui/src/protocol.ts";

const DAY = 86_400_000;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const REPOSITORIES: readonly [string, number, number][] = [
  ["acme/storefront", 0.34, 0.62],
  ["acme/payments", 0.18, 0.41],
  ["acme/semver-lite", 0.31, 0.55],
  ["acme/design-system", 0.17, 0.29],
];

const PEOPLE: readonly [number, string, number][] = [
  [1, "ada", 0.38],
  [3, "chika", 0.27],
  [2, "bo", 0.21],
  [4, "dmitri", 0.14],
];

const SOURCES: readonly [Source, number][] = [
  ["web", 0.46],
  ["slack", 0.31],
  ["github", 0.14],
  ["api", 0.06],
  ["extension", 0.03],
];

export function statistics(wanted: URLSearchParams, people: number): Statistics {
  const days = Number(wanted.get("days") ?? 30);
  const repository = wanted.get("repository") ?? undefined;
  const part = repository === undefined ? 1 : (REPOSITORIES.find(([name]) => name === repository)?.[1] ?? 0);
  const trend = Array.from({ length: days }, (_, index) => day(days - 1 - index, part));
  const merged = sum(trend.map((one) => one.merged));
  const opened = sum(trend.map((one) => one.opened));
  const prompts = opened * 4;
  const microdollars = merged * 1_840_000;
  const some = merged > 0;
  return {
    days,
    ...(repository !== undefined && { repository }),
    merged,
    opened,
    merged_share: some ? merged / opened : null,
    trend,
    median_first_response_ms: some ? 47 * MINUTE : null,
    median_merge_ms: some ? 3.4 * 60 * MINUTE : null,
    approval_share: some ? 0.87 : null,
    revisions: some ? 1.3 : null,
    microdollars_per_merged: some ? 1_840_000 : null,
    microdollars,
    prompts,
    people_prompting: people,
    first_token_p50_ms: some ? 1_240 : null,
    first_token_p95_ms: some ? 3_900 : null,
    repositories: REPOSITORIES.filter(([name]) => repository === undefined || name === repository).flatMap(
      ([name, weight, share]): RepositoryFigures[] => {
        const own = Math.round((merged * weight) / part);
        if (own === 0) return [];
        const all = Math.round(own / share);
        return [
          {
            repository: name,
            all_merged: all,
            merged: own,
            merged_share: own / all,
            all_lines: all * 84,
            lines: own * 71,
            line_share: (own * 71) / (all * 84),
          },
        ];
      },
    ),
    people: PEOPLE.map(([id, login, weight]) => ({ id, login, ...share(weight) })),
    sources: SOURCES.map(([source, weight]) => ({ source, ...share(weight) })),
  };

  function share(weight: number) {
    return {
      prompts: Math.round(prompts * weight),
      microdollars: Math.round(microdollars * weight),
      opened: Math.round(opened * weight),
      merged: Math.round(merged * weight),
    };
  }
}

function day(ago: number, part: number): DayFigures {
  const at = new Date(Date.now() - ago * DAY);
  const rest = at.getUTCDay() === 0 || at.getUTCDay() === 6;
  // Uneven, and slowly more.
  const wave = 9 + 4 * Math.sin(ago * 1.7) + 3 * Math.sin(ago * 0.6) - ago * 0.06;
  const opened = Math.max(0, Math.round((rest ? wave * 0.25 : wave) * part));
  return { day: at.toISOString().slice(0, 10), opened, merged: Math.round(opened * (0.68 + 0.1 * Math.sin(ago))) };
}

export function poolFigures(): PoolFigures {
  return {
    days: 7,
    hits: 418,
    hit_percent: 90,
    misses: [
      { reason: "pool_empty", count: 21 },
      { reason: "older_image", count: 12 },
      { reason: "no_image", count: 9 },
      { reason: "other_model", count: 3 },
    ],
    median_warm_ms: 310,
    median_cold_ms: 9_400,
    seconds_saved: 3_800,
    warm_sandbox_seconds: 402_000,
    cost_microdollars: 11_200_000,
    cost_today_microdollars: 1_500_000,
    budget_microdollars: 2_000_000,
  };
}

function sum(all: readonly number[]): number {
  return all.reduce((total, one) => total + one, 0);
}
