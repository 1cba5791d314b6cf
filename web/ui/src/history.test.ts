import { expect, test } from "vitest";

import { ADA, log, prompt, welcome } from "./events.fixture.ts";
import { beginning } from "./history.ts";
import type { Event, Fact } from "./protocol.ts";
import { SessionStore } from "./store.ts";

const CREATED: Fact = { type: "session_created", repository: "acme/shop", branch: "main", by: ADA };

/** Ten events, the first of which queues the prompt. */
function turn(number: number): Fact[] {
  const id = `pmt_${number}`;
  const part = (at: number): Fact[] => [
    { type: "part_started", part: number * 10 + at, prompt: id, body: { kind: "text" } },
    { type: "part_finished", part: number * 10 + at, prompt: id, length: 2, text: "ok", outcome: { result: "completed" } },
  ];
  return [
    { type: "prompt_queued", prompt: prompt(id, `Ask ${number}`) },
    { type: "prompt_started", prompt: id },
    ...part(1),
    ...part(2),
    ...part(3),
    { type: "notice", message: "…" },
    { type: "prompt_finished", prompt: id, outcome: { result: "completed" } },
  ];
}

const TURNS = log(CREATED, ...[1, 2, 3, 4].flatMap(turn));

function fresh(): SessionStore {
  return new SessionStore(ADA, { typing: () => undefined, complaint: () => undefined });
}

const texts = (store: SessionStore) =>
  [...store.past(), store.timeline()].flatMap((piece) =>
    piece.items().map((item) => (item.kind === "turn" ? item.turn.prompt.text : item.kind)),
  );

/** The end of the log, and then everything before it in pages. */
function paged(events: readonly Event[], size: number): SessionStore {
  const store = fresh();
  let fit = store.open(events.slice(-size));
  while (fit === "more") fit = store.open(before(events, store.oldest, size));
  expect(fit).toBe("ok");
  while (!store.complete()) expect(store.prepend(before(events, store.oldest, size))).not.toBe("misfit");
  return store;
}

function before(events: readonly Event[], seq: number, size: number): readonly Event[] {
  return events.filter((event) => event.seq < seq).slice(-size);
}

test("a piece begins where a prompt was queued while nothing ran", () => {
  expect(beginning(TURNS.slice(5))).toBe(11 - 5);
  expect(beginning(TURNS.slice(-9))).toBeUndefined();
  expect(beginning(TURNS)).toBe(0);
});

test("a prompt that was queued while another ran does not begin a piece", () => {
  const [queued, ...rest] = turn(2);
  const [first, started, ...others] = turn(1);
  const events = log(...[first, started, queued, ...others, ...rest].flatMap((fact) => fact ?? []));
  expect(beginning(events)).toBe(0);
  expect(beginning(events.slice(1))).toBeUndefined();
});

test("the sandbox that was started for a prompt comes with its turn", () => {
  const starting: Fact[] = [
    { type: "prompt_cancelled", prompt: "pmt_0", by: ADA },
    { type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 },
    { type: "step", step: { name: "claim", started_at: 1, ms: 1 } },
    { type: "sandbox_ready", sandbox: "sbx_1", epoch: 1, image: null, commit: "abc" },
  ];
  expect(beginning(log(CREATED, ...starting, ...turn(1)).slice(1))).toBe(1);
});

test.each([9, 10, 13, 17, 25, 100])("pages of %i events give what the whole log gives", (size) => {
  expect(texts(paged(TURNS, size))).toEqual(["Ask 1", "Ask 2", "Ask 3", "Ask 4"]);
});

test("a page that does not meet what is held is refused", () => {
  const store = fresh();
  store.open(TURNS.slice(-15));
  const { oldest } = store;
  expect(store.prepend(before(TURNS, oldest - 1, 5))).toBe("misfit");
  const holed = before(TURNS, oldest, 6).filter((_, index) => index !== 2);
  expect(store.prepend(holed)).toBe("misfit");
  expect(store.oldest).toBe(oldest);
});

test("the connection goes on where the end of the log stopped", () => {
  const store = fresh();
  store.open(TURNS.slice(-15));
  expect(store.since).toBe(TURNS.length);
  expect(store.receive(welcome(TURNS.length))).toBe("ok");
  expect(store.synced()).toBe(true);
});

test("a session that works on what its log's end does not tell is loaded whole", () => {
  const store = fresh();
  store.open(TURNS.slice(-15));
  const told = welcome(TURNS.length);
  if (told.type !== "welcome") throw new Error("no welcome");
  expect(store.receive({ ...told, session: { ...told.session, state: "working" } })).toBe("resubscribe");
  expect(store.since).toBe(0);
  expect(store.synced()).toBe(false);
});

test("prompts that have waited since before the log's end are taken from the welcome, once", () => {
  const store = fresh();
  store.open(TURNS.slice(-15));
  const told = welcome(TURNS.length);
  if (told.type !== "welcome") throw new Error("no welcome");
  store.receive({ ...told, queue: [prompt("pmt_9", "Waits")] });
  store.receive(told);
  expect(store.timeline().queue().map((waiting) => waiting.prompt.text)).toEqual(["Waits"]);
});
