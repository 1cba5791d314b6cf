import { expect, test, vi } from "vitest";

import { ADA, BO, STREAMING, SUMMARY, log, prompt, welcome } from "./events.fixture.ts";
import type { Fact } from "./protocol.ts";
import { SessionStore } from "./store.ts";

const finished: Fact = { type: "part_finished", part: 1, prompt: "pmt_1", length: 5, outcome: { result: "completed" } };

function fresh() {
  const listeners = { typing: vi.fn(), complaint: vi.fn() };
  return { store: new SessionStore(ADA, listeners), listeners };
}

/** A store that has welcomed and holds the events. */
function caughtUp(...facts: Fact[]) {
  const made = fresh();
  made.store.receive(welcome(facts.length));
  expect(made.store.receive({ type: "events", events: log(...facts) })).toBe("ok");
  return made;
}

function text(of: SessionStore): string | undefined {
  const item = of.timeline().last()?.items().at(-1);
  return item?.kind === "part" ? item.part.text() : undefined;
}

test("an event that comes twice counts once", () => {
  const { store } = caughtUp(...STREAMING);
  store.receive({ type: "events", events: log(...STREAMING) });
  expect(store.since).toBe(4);
  expect(store.timeline().items()).toHaveLength(1);
  expect(store.timeline().last()?.items()).toHaveLength(1);
});

test("a gap asks again from the last good place", () => {
  const { store } = caughtUp(...STREAMING);
  const events = [{ seq: 6, at: 1, type: "notice", message: "later" } as const];
  expect(store.receive({ type: "events", events })).toBe("resubscribe");
  expect(store.since).toBe(4);
});

test("a delta that does not meet asks again", () => {
  const { store } = caughtUp(...STREAMING);
  expect(store.receive({ type: "delta", part: 1, offset: 0, text: "Hel" })).toBe("ok");
  expect(store.receive({ type: "delta", part: 1, offset: 4, text: "o" })).toBe("resubscribe");
});

test("a part that is not what its deltas add up to asks again, from before its end", () => {
  const { store } = caughtUp(...STREAMING);
  store.receive({ type: "delta", part: 1, offset: 0, text: "Do" });
  const [event] = log(...STREAMING, finished).slice(-1);
  if (!event) throw new Error("no event");
  expect(store.receive({ type: "events", events: [event] })).toBe("resubscribe");
  expect(store.since).toBe(4);
  store.subscribing();
  store.receive(welcome(5));
  expect(store.receive({ type: "events", events: [{ ...event, text: "Done." } as typeof event] })).toBe("ok");
  expect(text(store)).toBe("Done.");
});

test("what is still on its way from the old subscription does not ask a second time", () => {
  const { store } = caughtUp(...STREAMING);
  expect(store.receive({ type: "delta", part: 1, offset: 4, text: "o" })).toBe("resubscribe");
  store.subscribing();
  expect(store.receive({ type: "delta", part: 1, offset: 5, text: "!" })).toBe("ok");
  store.receive(welcome(4));
  store.receive({ type: "delta", part: 1, offset: 0, text: "Hello!" });
  expect(text(store)).toBe("Hello!");
});

test("asking again without progress connects anew", () => {
  const { store } = caughtUp(...STREAMING);
  const bad = { type: "delta", part: 1, offset: 9, text: "?" } as const;
  expect([store.receive(bad), store.receive(bad), store.receive(bad)]).toEqual(["resubscribe", "resubscribe", "restart"]);
});

test("an event that never fits does not stop the page for good", () => {
  const { store } = caughtUp(...STREAMING);
  const events = log(...STREAMING, finished);
  expect(store.receive({ type: "events", events })).toBe("resubscribe");
  store.subscribing();
  store.receive(welcome(5));
  expect(store.receive({ type: "events", events })).toBe("ok");
  expect(store.since).toBe(5);
});

test("synced means that everything from before connecting is here", () => {
  const { store } = fresh();
  store.receive(welcome(4));
  expect(store.synced()).toBe(false);
  store.receive({ type: "events", events: log(...STREAMING) });
  expect(store.synced()).toBe(true);
  store.subscribing();
  expect(store.synced()).toBe(false);
});

test("a log that is shorter than ours is another log", () => {
  const { store } = caughtUp(...STREAMING);
  store.subscribing();
  expect(store.receive({ type: "error", code: "unknown_seq", message: "The log ends at 1." })).toBe("resubscribe");
  expect(store.since).toBe(0);
  expect(store.timeline().items()).toEqual([]);
});

test("a sent prompt waits until the log has it", () => {
  const { store } = caughtUp(...STREAMING);
  store.outbox.add("req_1", "And this ", "queue");
  store.receive({
    type: "events",
    events: [{ seq: 5, at: 1, type: "prompt_queued", prompt: prompt("pmt_2", "And this", BO) }],
  });
  expect(store.outbox.items()).toHaveLength(1);
  store.receive({
    type: "events",
    events: [{ seq: 6, at: 1, type: "prompt_queued", prompt: prompt("pmt_3", "And this") }],
  });
  expect(store.outbox.items()).toEqual([]);
});

test("the same text sent twice waits for two events", () => {
  const { store } = caughtUp(...STREAMING);
  store.outbox.add("req_1", "go on", "queue");
  store.outbox.add("req_2", "go on", "queue");
  store.receive({
    type: "events",
    events: [{ seq: 5, at: 1, type: "prompt_queued", prompt: prompt("pmt_2", "go on") }],
  });
  expect(store.outbox.items().map(({ id }) => id)).toEqual(["req_2"]);
});

test("a prompt that says of which request it is confirms that one, whatever its words are", () => {
  const { store } = caughtUp(...STREAMING);
  store.outbox.add("req_1", "go on", "queue");
  store.outbox.add("req_2", "go on", "queue");
  const confirmed = { ...prompt("pmt_2", "go on"), client_request_id: "req_2" };
  store.receive({ type: "events", events: [{ seq: 5, at: 1, type: "prompt_queued", prompt: confirmed }] });
  expect(store.outbox.items().map(({ id }) => id)).toEqual(["req_1"]);
});

test("a refused prompt says why and is not sent again", () => {
  const { store, listeners } = caughtUp(...STREAMING);
  store.outbox.add("req_1", "too much", "queue");
  store.receive({ type: "error", code: "queue_full", message: "The queue is full.", client_request_id: "req_1" });
  expect(store.outbox.items()).toMatchObject([{ id: "req_1", refusal: "The queue is full." }]);
  expect(store.outbox.frames()).toEqual([]);
  expect(listeners.complaint).not.toHaveBeenCalled();
});

test("an error that belongs to no prompt is reported", () => {
  const { store, listeners } = fresh();
  store.receive({ type: "error", code: "rate_limited", message: "Slow down." });
  expect(listeners.complaint).toHaveBeenCalledWith(expect.objectContaining({ message: "Slow down." }));
});

test("a frame of a kind that this page does not know is passed over", () => {
  const { store } = fresh();
  expect(store.receive({ type: "from_the_future" } as unknown as Parameters<SessionStore["receive"]>[0])).toBe("ok");
});

test("the welcome tells who is here", () => {
  const { store } = fresh();
  const participants = [{ person: BO, active: true }];
  store.receive({ type: "welcome", session: SUMMARY, participants, queue: [], head_seq: 0 });
  expect(store.participants()).toEqual(participants);
});
