import { expect, test } from "vitest";

import { ADA, BO, STREAMING, log, prompt } from "./events.fixture.ts";
import type { Fact, StepName } from "./protocol.ts";
import { Timeline } from "./timeline.ts";
import type { Part, Turn } from "./timeline/item.ts";

function folded(...facts: Fact[]): Timeline {
  const timeline = new Timeline();
  for (const event of log(...facts)) expect(timeline.apply(event)).toBe(true);
  return timeline;
}

function turn(timeline: Timeline): Turn {
  const last = timeline.last();
  if (!last) throw new Error("no turn");
  return last;
}

function part(timeline: Timeline): Part {
  const item = turn(timeline).items().at(-1);
  if (item?.kind !== "part") throw new Error("no part");
  return item.part;
}

function step(name: StepName, started_at: number): Fact {
  return { type: "step", step: { name, started_at, ms: 5 } };
}

test("deltas that meet make the text", () => {
  const timeline = folded(...STREAMING);
  expect(timeline.delta(1, 0, "Hello")).toBe(true);
  expect(timeline.delta(1, 5, " 👋")).toBe(true);
  expect(timeline.delta(1, 8, "!")).toBe(true);
  expect(part(timeline).text()).toBe("Hello 👋!");
});

test("a delta behind a gap is refused and changes nothing", () => {
  const timeline = folded(...STREAMING);
  timeline.delta(1, 0, "Hello");
  expect(timeline.delta(1, 6, "there")).toBe(false);
  expect(part(timeline).text()).toBe("Hello");
});

test("a delta of an unknown part is refused", () => {
  expect(folded(...STREAMING).delta(9, 0, "x")).toBe(false);
});

test("a text that is sent again from 0 neither doubles nor shrinks", () => {
  const timeline = folded(...STREAMING);
  timeline.delta(1, 0, "Hello there");
  timeline.delta(1, 0, "Hello");
  expect(part(timeline).text()).toBe("Hello there");
  timeline.delta(1, 0, "Hello there, Ada");
  expect(part(timeline).text()).toBe("Hello there, Ada");
});

test("what is sent again and differs replaces what was there", () => {
  const timeline = folded(...STREAMING);
  timeline.delta(1, 0, "Hello there");
  timeline.delta(1, 6, "Bo");
  expect(part(timeline).text()).toBe("Hello Bo");
});

test("a finished part whose deltas add up is finished", () => {
  const timeline = folded(...STREAMING);
  timeline.delta(1, 0, "Done.");
  const [finished] = log({ type: "part_finished", part: 1, prompt: "pmt_1", length: 5, outcome: { result: "completed" } });
  expect(finished && timeline.apply(finished)).toBe(true);
  expect(part(timeline).state()).toMatchObject({ phase: "finished", result: "completed" });
});

test("a finished part whose deltas do not add up is refused", () => {
  const timeline = folded(...STREAMING);
  timeline.delta(1, 0, "Do");
  const [finished] = log({ type: "part_finished", part: 1, prompt: "pmt_1", length: 5, outcome: { result: "completed" } });
  expect(finished && timeline.apply(finished)).toBe(false);
  expect(part(timeline).state().phase).toBe("growing");
});

test("the text of a finished part is final", () => {
  const timeline = folded(...STREAMING, {
    type: "part_finished",
    part: 1,
    prompt: "pmt_1",
    length: 5,
    text: "Done.",
    outcome: { result: "completed" },
  });
  expect(timeline.delta(1, 0, "late")).toBe(true);
  expect(part(timeline).text()).toBe("Done.");
});

test("a prompt waits in the queue until it starts", () => {
  const timeline = folded(
    ...STREAMING,
    { type: "prompt_queued", prompt: prompt("pmt_2", "then this", BO) },
    { type: "prompt_edited", prompt: "pmt_2", text: "then that", by: ADA },
  );
  expect(timeline.queue()).toEqual([{ prompt: prompt("pmt_2", "then that", BO), editedBy: ADA }]);
  for (const fact of [
    { type: "prompt_finished", prompt: "pmt_1", outcome: { result: "completed" } },
    { type: "prompt_started", prompt: "pmt_2" },
  ] satisfies Fact[]) {
    for (const event of log(fact)) timeline.apply(event);
  }
  expect(timeline.queue()).toEqual([]);
  expect(turn(timeline).prompt.text).toBe("then that");
});

test("an inserted prompt stands before those that wait their turn", () => {
  const timeline = folded(
    ...STREAMING,
    { type: "prompt_queued", prompt: prompt("pmt_2", "later") },
    { type: "prompt_queued", prompt: { ...prompt("pmt_3", "now"), mode: "insert" } },
  );
  expect(timeline.queue().map((waiting) => waiting.prompt.id)).toEqual(["pmt_3", "pmt_2"]);
});

test("a cancelled prompt leaves the queue", () => {
  const timeline = folded(
    ...STREAMING,
    { type: "prompt_queued", prompt: prompt("pmt_2", "later") },
    { type: "prompt_cancelled", prompt: "pmt_2", by: BO },
  );
  expect(timeline.queue()).toEqual([]);
});

test("a prompt that fails before it starts is shown with its failure", () => {
  const timeline = folded(
    { type: "prompt_queued", prompt: prompt("pmt_1", "Fix it") },
    { type: "prompt_finished", prompt: "pmt_1", outcome: { result: "failed", message: "no runner" } },
  );
  expect(turn(timeline).state()).toMatchObject({ outcome: { result: "failed", message: "no runner" } });
  expect(timeline.queue()).toEqual([]);
});

test("the state is the one that the session list shows", () => {
  const queued: Fact = { type: "prompt_queued", prompt: prompt("pmt_1", "Fix it") };
  const started: Fact = { type: "prompt_started", prompt: "pmt_1" };
  const completed: Fact = { type: "prompt_finished", prompt: "pmt_1", outcome: { result: "completed" } };
  const failed: Fact = { type: "prompt_finished", prompt: "pmt_1", outcome: { result: "failed", message: "no" } };
  const starting: Fact = { type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 };
  const ready: Fact = { type: "sandbox_ready", sandbox: "sbx_1", epoch: 1, image: null, commit: "abc" };
  expect(folded().state()).toBe("idle");
  expect(folded(starting).state()).toBe("warming");
  expect(folded(starting, ready).state()).toBe("idle");
  expect(folded(queued).state()).toBe("working");
  expect(folded(queued, started).state()).toBe("working");
  expect(folded(queued, started, completed).state()).toBe("idle");
  expect(folded(queued, started, failed).state()).toBe("failed");
  expect(folded(queued, started, completed, { type: "session_archived", by: ADA }).state()).toBe("archived");
});

test("an inserted prompt joins the turn that runs", () => {
  const timeline = folded(
    ...STREAMING,
    { type: "prompt_queued", prompt: { ...prompt("pmt_2", "now"), mode: "insert" } },
    { type: "prompt_started", prompt: "pmt_2" },
    { type: "prompt_finished", prompt: "pmt_2", outcome: { result: "completed" } },
  );
  expect(timeline.running()?.prompt.id).toBe("pmt_1");
});

test("a stopped turn leaves no part growing", () => {
  const timeline = folded(...STREAMING, {
    type: "prompt_finished",
    prompt: "pmt_1",
    outcome: { result: "stopped", by: BO },
  });
  expect(part(timeline).state()).toMatchObject({ phase: "finished", result: "failed" });
});

test("steps before the prompt starts and after it finished belong to its turn", () => {
  const timeline = folded(
    { type: "prompt_queued", prompt: prompt("pmt_1", "Fix it") },
    step("claim", 1),
    { type: "prompt_started", prompt: "pmt_1" },
    step("first_token", 2),
    { type: "prompt_finished", prompt: "pmt_1", outcome: { result: "completed" } },
    step("push", 3),
  );
  expect(turn(timeline).steps().map(({ name }) => name)).toEqual(["claim", "first_token", "push"]);
  expect(timeline.upcoming()).toEqual([]);
});

test("a sandbox row goes from starting to ready to lost", () => {
  const timeline = folded({ type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 });
  const [item] = timeline.items();
  if (item?.kind !== "sandbox") throw new Error("no sandbox row");
  expect(item.sandbox.state()).toEqual({ phase: "starting" });
  for (const event of log({ type: "sandbox_ready", sandbox: "sbx_1", epoch: 1, image: "img_1", commit: "abc" })) {
    timeline.apply(event);
  }
  expect(item.sandbox.state()).toMatchObject({ phase: "ready", fromImage: true });
  for (const event of log({ type: "sandbox_lost", sandbox: "sbx_1", epoch: 1, reason: "out of memory" })) {
    timeline.apply(event);
  }
  expect(item.sandbox.state()).toMatchObject({ phase: "lost", reason: "out of memory" });
});

test("a sandbox that starts for a prompt belongs to its turn, one that was lost before does not", () => {
  const timeline = folded(
    { type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 },
    { type: "sandbox_lost", sandbox: "sbx_1", epoch: 1, reason: "out of memory" },
    { type: "prompt_queued", prompt: prompt("pmt_1", "Fix it") },
    { type: "sandbox_starting", sandbox: "sbx_2", epoch: 2 },
    { type: "prompt_started", prompt: "pmt_1" },
  );
  expect(timeline.items().map(({ kind }) => kind)).toEqual(["sandbox", "turn"]);
  expect(turn(timeline).items().map(({ kind }) => kind)).toEqual(["sandbox"]);
});

test("waiting prompts take the order that they are given", () => {
  const timeline = folded(
    ...STREAMING,
    { type: "prompt_queued", prompt: prompt("pmt_2", "two") },
    { type: "prompt_queued", prompt: prompt("pmt_3", "three") },
    { type: "prompt_queued", prompt: prompt("pmt_4", "four") },
    { type: "prompts_reordered", order: ["pmt_4", "pmt_2"], by: BO },
  );
  expect(timeline.queue().map((waiting) => waiting.prompt.id)).toEqual(["pmt_4", "pmt_2", "pmt_3"]);
});

test("the queue is paused by somebody until it is resumed", () => {
  const timeline = folded(...STREAMING, { type: "queue_paused", by: BO });
  expect(timeline.paused()).toEqual(BO);
  for (const event of log({ type: "queue_resumed", by: ADA })) timeline.apply(event);
  expect(timeline.paused()).toBeUndefined();
});

test("a pull request has the state that was told last, and several are kept apart", () => {
  const opened = (number: number): Fact => ({
    type: "pull_request_opened",
    prompt: "pmt_1",
    number,
    url: `https://github.com/acme/shop/pull/${number}`,
    title: `Change ${number}`,
    by: { kind: "app" },
  });
  const timeline = folded(...STREAMING, opened(1), opened(2), {
    type: "pull_request_changed",
    number: 1,
    state: "merged",
    by: "bo",
  });
  expect(timeline.pullRequests().map(({ number, state }) => [number, state])).toEqual([
    [1, "merged"],
    [2, "open"],
  ]);
  expect(timeline.pullRequest()?.number).toBe(2);
});

test("what the agent shares belongs to the turn of its prompt", () => {
  const artifact = { id: "art_1", name: "shot.png", media_type: "image/png", bytes: 3 };
  const timeline = folded(
    ...STREAMING,
    { type: "prompt_finished", prompt: "pmt_1", outcome: { result: "completed" } },
    { type: "artifact_added", artifact, prompt: "pmt_1" },
    { type: "artifact_added", artifact },
  );
  expect(turn(timeline).items().at(-1)).toMatchObject({ kind: "row", row: { type: "artifact_added" } });
  expect(timeline.items().map(({ kind }) => kind)).toEqual(["turn", "row"]);
});

test("tool calls that may have written are counted when they end", () => {
  const call = (part: number, tool: string): Fact[] => [
    { type: "part_started", part, prompt: "pmt_1", body: { kind: "tool", tool, title: tool, input: "{}" } },
    { type: "part_finished", part, prompt: "pmt_1", length: 0, text: "", outcome: { result: "completed" } },
  ];
  const timeline = folded(...STREAMING, ...call(2, "read"), ...call(3, "grep"));
  expect(timeline.written()).toBe(0);
  for (const event of log(...call(4, "edit"), ...call(5, "bash"), ...call(6, "a_tool_of_their_own"))) timeline.apply(event);
  expect(timeline.written()).toBe(3);
});

test("an update of the agent's belongs to the turn of its prompt", () => {
  const timeline = folded(...STREAMING, { type: "update", prompt: "pmt_1", text: "The cause is found." });
  expect(turn(timeline).items().at(-1)).toMatchObject({ kind: "row", row: { text: "The cause is found." } });
});

test("a sandbox that was released before it was ready leaves nothing warming", () => {
  const timeline = folded(
    { type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 },
    { type: "sandbox_released", sandbox: "sbx_1", epoch: 1 },
  );
  expect(timeline.state()).toBe("idle");
});

test("a fork knows what it was forked from", () => {
  const parent = { session: "ses_0", prompt: "pmt_9" };
  const timeline = folded({ type: "session_created", repository: "acme/shop", branch: "main", by: ADA, parent });
  expect(timeline.parent()).toEqual(parent);
  expect(timeline.items().map(({ kind }) => kind)).toEqual(["row"]);
});

test("an event of a kind that this page does not know is passed over", () => {
  const event = { seq: 1, at: 1, type: "from_the_future" } as unknown as Parameters<Timeline["apply"]>[0];
  expect(new Timeline().apply(event)).toBe(true);
});

test("a sandbox that fell asleep says so, and the next one is restored", () => {
  const timeline = folded(
    { type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 },
    { type: "sandbox_ready", sandbox: "sbx_1", epoch: 1, image: null, commit: "abc" },
    { type: "sandbox_slept", sandbox: "sbx_1", epoch: 1, snapshot: "snp_1" },
    { type: "sandbox_starting", sandbox: "sbx_2", epoch: 2 },
  );
  const restored = timeline.items().map((item) => (item.kind === "sandbox" ? item.sandbox.restored : item.kind));
  expect(restored).toEqual([false, "row", true]);
  expect(timeline.sandbox()).toBe("starting");
});

test("a pull request is told by what the server knew and by what the log says since", () => {
  const timeline = new Timeline();
  const pull = { number: 7, url: "https://x/7", title: "Fix", branch: "agent/ses_1", state: "draft", review: "approved" } as const;
  timeline.seedPullRequests([pull]);
  timeline.apply({ seq: 1, at: 1, type: "checks_finished", number: 7, commit: "abc", failed: ["lint"] });
  timeline.apply({ seq: 2, at: 1, type: "pull_request_changed", number: 7, state: "open", by: "ada" });
  expect(timeline.pullRequests()).toEqual([{ ...pull, state: "open", checks: "failed", failed: ["lint"] }]);
  timeline.seedPullRequests([{ ...pull, state: "open", checks: "failed" }]);
  expect(timeline.pullRequest()).toMatchObject({ checks: "failed", failed: ["lint"] });
});
