/** What sessions came to: merged pull requests first, then what they took and where they came from. */
import { For, Match, Show, Switch, createEffect, createSignal, on, onCleanup, onMount, type JSX } from "solid-js";

import type { Person, PoolFigures, Repository, Statistics } from "#ui/protocol.ts";
import { SOURCES } from "#ui/view/source.ts";

import { api, messageOf } from "../api.ts";
import { Bars, type Row } from "../charts/Bars.tsx";
import { DayBars } from "../charts/DayBars.tsx";
import { Figure } from "../charts/Figure.tsx";
import { MISSES, average, count, dayName, dollars, percent, poolCost, time, trendOf, trendWords } from "../charts/figures.ts";
import { Picker } from "../components/Picker.tsx";
import { Problem } from "../components/Problem.tsx";
import { TopBar } from "../components/TopBar.tsx";
import { peoplePrompting } from "../lobby.ts";
import { WINDOWS, navigate, statisticsPath, title } from "../router.ts";
import "../styles/statistics.css";

/** Figures move slowly; who prompts now comes by the lobby. */
const REFRESH_MS = 60_000;

const EVERYTHING = "All repositories";

export default function StatisticsPage(props: { me: Person; days: number; repository: Repository | undefined }): JSX.Element {
  const [figures, setFigures] = createSignal<Statistics | undefined>();
  const [pool, setPool] = createSignal<PoolFigures | undefined>();
  const [repositories, setRepositories] = createSignal<readonly Repository[]>([]);
  const [problem, setProblem] = createSignal<string | undefined>();
  const [busy, setBusy] = createSignal(false);

  let newest = 0;
  const load = async () => {
    newest += 1;
    const mine = newest;
    setBusy(true);
    try {
      const found = await api.statistics(props.days, props.repository);
      if (mine !== newest) return;
      setFigures(found);
      setProblem(undefined);
    } catch (error) {
      if (mine === newest) setProblem(messageOf(error));
    } finally {
      if (mine === newest) setBusy(false);
    }
  };
  onMount(title(() => "Statistics"));
  createEffect(on([() => props.days, () => props.repository], () => void load()));
  onMount(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && void load(), REFRESH_MS);
    onCleanup(() => clearInterval(timer));
    // Beside the rest, which does not wait for these.
    void api.pool().then(setPool).catch(() => undefined);
    void api
      .repositories()
      .then((list) => setRepositories(list.repositories.map(({ repository }) => repository)))
      .catch(() => undefined);
  });

  return (
    <div class="page">
      <TopBar me={props.me} />
      <main class="column wide statistics" aria-busy={busy()}>
        <div class="page-head">
          <h1>Statistics</h1>
          <div class="statistics-filter">
            <Picker
              label="Repository"
              icon="box"
              placeholder={EVERYTHING}
              choices={[{ value: "", label: EVERYTHING }, ...repositories().map((value) => ({ value }))]}
              value={props.repository ?? ""}
              onChange={(name) => navigate(statisticsPath(props.days, name || undefined))}
            />
            <div class="segments" role="group" aria-label="Time">
              <For each={WINDOWS}>
                {(days) => (
                  <button
                    aria-pressed={days === props.days}
                    onClick={() => navigate(statisticsPath(days, props.repository))}
                  >
                    {days} days
                  </button>
                )}
              </For>
            </div>
          </div>
        </div>
        <Show when={problem()}>{(message) => <Problem message={message()} retry={() => void load()} />}</Show>
        <Switch>
          <Match when={figures()}>
            {(known) => (
              <>
                <Merged figures={known()} />
                <Tiles figures={known()} />
                <Repositories figures={known()} />
                <div class="figure-pair">
                  <People figures={known()} />
                  <Sources figures={known()} />
                </div>
                <Show when={pool()}>{(warm) => <Pool pool={warm()} />}</Show>
              </>
            )}
          </Match>
          <Match when={problem() === undefined}>
            <div class="skeletons" aria-busy="true">
              <span class="unseen">Loading statistics</span>
              <div class="skeleton tall" />
              <div class="skeleton" />
              <div class="skeleton tall" />
            </div>
          </Match>
        </Switch>
      </main>
    </div>
  );
}

function Merged(props: { figures: Statistics }): JSX.Element {
  const trend = () => trendOf(props.figures.trend);
  return (
    <Figure
      class="headline"
      title="Merged pull requests"
      note={
        <div class="headline-figures">
          <strong class="headline-count">{count(props.figures.merged)}</strong>
          <p>
            <span class="headline-rate">
              {percent(props.figures.merged_share)} of the {count(props.figures.opened)} opened
            </span>
            <span class="quiet">{trendWords(trend())}</span>
          </p>
          <p class="legend quiet" aria-hidden="true">
            <span class="key merged" /> merged <span class="key opened" /> opened
          </p>
        </div>
      }
      table={{
        head: ["Day", "Opened", "Merged"],
        rows: props.figures.trend.map((day) => [dayName(day.day), count(day.opened), count(day.merged)]),
      }}
    >
      <DayBars days={props.figures.trend} label={`Opened and merged by day. ${trendWords(trend())}.`} />
    </Figure>
  );
}

function Tiles(props: { figures: Statistics }): JSX.Element {
  const now = () => peoplePrompting() ?? props.figures.people_prompting;
  return (
    <dl class="tiles">
      <div class="tile live">
        <dt>Prompting now</dt>
        <dd>
          <span class="live-dot" aria-hidden="true" />
          {count(now())}
        </dd>
        <dd class="quiet">{now() === 1 ? "person" : "people"} in the last 5 minutes</dd>
      </div>
      <Tile
        name="Time to first token"
        value={time(props.figures.first_token_p50_ms)}
        note={props.figures.first_token_p95_ms === null ? "" : `19 of 20 within ${time(props.figures.first_token_p95_ms)}`}
      />
      <Tile name="Approval rate" value={percent(props.figures.approval_share)} note="of those with a verdict" />
      <Tile name="Revisions" value={average(props.figures.revisions)} note="per reviewed pull request" />
      <Tile name="First response" value={time(props.figures.median_first_response_ms)} note="median, by a person" />
      <Tile name="Time to merge" value={time(props.figures.median_merge_ms)} note="median, from opening" />
      <Tile name="Cost per merged" value={dollars(props.figures.microdollars_per_merged)} note={`${dollars(props.figures.microdollars)} together`} />
      <Tile name="Prompts" value={count(props.figures.prompts)} note={`in ${props.figures.days} days`} />
    </dl>
  );
}

function Tile(props: { name: string; value: string; note: string }): JSX.Element {
  return (
    <div class="tile">
      <dt>{props.name}</dt>
      <dd>{props.value}</dd>
      <dd class="quiet">{props.note}</dd>
    </div>
  );
}

function Repositories(props: { figures: Statistics }): JSX.Element {
  const rows = (): Row[] =>
    props.figures.repositories.map((one) => ({
      name: one.repository,
      note: `${count(one.merged)} of ${count(one.all_merged)} merged`,
      bars: [
        { part: one.merged_share, words: `${percent(one.merged_share)} of pull requests` },
        { part: one.line_share ?? 0, words: `${percent(one.line_share)} of lines`, class: "second" },
      ],
    }));
  return (
    <Figure
      title="Share of what was merged"
      note={<p class="quiet">How much of all merged work, everybody’s, came from sessions.</p>}
      table={{
        head: ["Repository", "Merged", "By sessions", "Share", "Lines", "By sessions", "Share"],
        rows: props.figures.repositories.map((one) => [
          one.repository,
          count(one.all_merged),
          count(one.merged),
          percent(one.merged_share),
          count(one.all_lines),
          count(one.lines),
          percent(one.line_share),
        ]),
      }}
    >
      <Show when={rows().length > 0} fallback={<p class="quiet nothing-found">Nothing was merged in these days.</p>}>
        <Bars rows={rows()} label="Share of merged pull requests and lines by repository" />
      </Show>
    </Figure>
  );
}

interface Totals {
  readonly merged: number;
  readonly opened: number;
  readonly prompts: number;
  readonly microdollars: number;
}

function totalRows(all: readonly (Totals & { readonly name: string })[]): Row[] {
  const most = Math.max(...all.map(({ merged }) => merged), 1);
  return all.map(({ name, merged, prompts, microdollars }) => ({
    name,
    note: `${count(prompts)} prompts, ${dollars(microdollars)}`,
    bars: [{ part: merged / most, words: `${count(merged)} merged` }],
  }));
}

const totalTable = (first: string, all: readonly (Totals & { readonly name: string })[]) => ({
  head: [first, "Prompts", "Opened", "Merged", "Cost"],
  rows: all.map((one) => [one.name, count(one.prompts), count(one.opened), count(one.merged), dollars(one.microdollars)]),
});

function People(props: { figures: Statistics }): JSX.Element {
  const all = () => props.figures.people.map((one) => ({ ...one, name: one.login }));
  return (
    <Figure title="By person" table={totalTable("Person", all())}>
      <Show when={all().length > 0} fallback={<p class="quiet nothing-found">Nobody prompted in these days.</p>}>
        <Bars rows={totalRows(all())} label="Merged pull requests by person" />
      </Show>
    </Figure>
  );
}

function Sources(props: { figures: Statistics }): JSX.Element {
  const all = () => props.figures.sources.map((one) => ({ ...one, name: SOURCES[one.source].label }));
  return (
    <Figure title="By source" table={totalTable("Source", all())}>
      <Show when={all().length > 0} fallback={<p class="quiet nothing-found">Nobody prompted in these days.</p>}>
        <Bars rows={totalRows(all())} label="Merged pull requests by source" />
      </Show>
    </Figure>
  );
}

function Pool(props: { pool: PoolFigures }): JSX.Element {
  const missed = () => props.pool.misses.reduce((sum, { count: times }) => sum + times, 0);
  const all = () => Math.max(1, props.pool.hits + missed());
  const rows = (): Row[] => [
    { name: "From the pool", bars: [{ part: props.pool.hits / all(), words: `${count(props.pool.hits)} times` }] },
    ...props.pool.misses.map(({ reason, count: times }) => ({
      name: MISSES[reason],
      bars: [{ part: times / all(), words: `${count(times)} times`, class: "miss" }],
    })),
  ];
  return (
    <Figure
      title="Warm sandboxes"
      note={
        <p class="quiet">
          Last {props.pool.days} days: ready in {time(props.pool.median_warm_ms)} from the pool, in{" "}
          {time(props.pool.median_cold_ms)} without.
          {props.pool.seconds_saved !== null &&
            ` People waited ${time(props.pool.seconds_saved * 1_000)} less, for sandboxes that stood ready ${time(props.pool.warm_sandbox_seconds * 1_000)} together.`}{" "}
          {poolCost(props.pool)}
        </p>
      }
      table={{
        head: ["How a sandbox was had", "Times"],
        rows: [
          ["From the pool", count(props.pool.hits)],
          ...props.pool.misses.map(({ reason, count: times }) => [MISSES[reason], count(times)]),
        ],
      }}
    >
      <Bars rows={rows()} label="How sandboxes were had" />
    </Figure>
  );
}
