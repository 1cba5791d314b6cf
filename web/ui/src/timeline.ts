/**
 * A session's log folded into what a person reads: turns, their parts, and what happened between.
 *
 * Events are applied in order, each once; whoever applies them proves that (see `store.ts`). No
 * I/O and no clock. What changes later is a signal of its own, so a token that arrives touches
 * one text and nothing else, and a log of ten thousand events folds without a render.
 */
import { createSignal, type Accessor } from "solid-js";

import type {
  Artifact,
  Event,
  Parent,
  PartId,
  Person,
  Prompt,
  PromptId,
  PullRequest,
  SessionState,
  SessionSummary,
  Step,
} from "./protocol.ts";
import type { EventOf, Item, Sandbox, SandboxLife, SandboxState, Turn, TurnItem, TurnState } from "./timeline/item.ts";
import { list, type List } from "./timeline/list.ts";
import { Parts } from "./timeline/parts.ts";
import { PullRequests, type OpenedPullRequest } from "./timeline/pull-requests.ts";
import { WaitingPrompts, type Waiting } from "./timeline/queue.ts";

interface OpenTurn {
  view: Turn;
  items: List<TurnItem>;
  steps: List<Step>;
  setState(state: TurnState): void;
}

export class Timeline {
  readonly #items = list<Item>();
  readonly #turns = new Map<PromptId, OpenTurn>();
  readonly #parts = new Parts();
  readonly #sandboxes = new Map<number, (state: SandboxState) => void>();
  #slept = false;
  /** Steps that no turn has claimed: a sandbox starts before the prompt does. */
  readonly #upcoming = list<Step>();

  readonly #queue = new WaitingPrompts();
  readonly #running = createSignal<readonly Turn[]>([]);
  readonly #last = createSignal<Turn | undefined>();
  readonly #title = createSignal<string | undefined>();
  readonly #pullRequests = new PullRequests();
  readonly #paused = createSignal<Person | undefined>();
  readonly #parent = createSignal<Parent | undefined>();
  readonly #pushed = createSignal<EventOf<"pushed"> | undefined>();
  readonly #archived = createSignal(false);
  readonly #failed = createSignal(false);
  readonly #activity = createSignal(undefined, { equals: false });
  readonly #starting = createSignal<number | undefined>();
  readonly #sandbox = createSignal<SandboxLife | undefined>();
  readonly #kept = createSignal<EventOf<"changes_kept"> | undefined>();
  readonly #artifacts = list<Artifact>();

  /** Turns and what happened between them, oldest first. */
  readonly items: Accessor<readonly Item[]> = this.#items.all;
  /** Prompts that wait, in the order in which the agent will read them. */
  readonly queue: Accessor<readonly Waiting[]> = this.#queue.all;
  /** The newest turn that has not finished: an inserted prompt joins the one that runs. */
  readonly running: Accessor<Turn | undefined> = () => this.#running[0]().at(-1);
  /** All turns that have not finished, oldest first. */
  readonly unfinished: Accessor<readonly Turn[]> = this.#running[0];
  /** The running turn, or the one that ran last. */
  readonly last: Accessor<Turn | undefined> = this.#last[0];
  /** Where time went before the next turn has started. */
  readonly upcoming: Accessor<readonly Step[]> = this.#upcoming.all;
  readonly title: Accessor<string | undefined> = this.#title[0];
  /** In the order in which they were opened. */
  readonly pullRequests: Accessor<readonly OpenedPullRequest[]> = this.#pullRequests.all;
  readonly pullRequest: Accessor<OpenedPullRequest | undefined> = () => this.pullRequests().at(-1);
  /** Who paused the queue, while it is paused. */
  readonly paused: Accessor<Person | undefined> = this.#paused[0];
  /** What this session was forked from. */
  readonly parent: Accessor<Parent | undefined> = this.#parent[0];
  readonly pushed: Accessor<EventOf<"pushed"> | undefined> = this.#pushed[0];

  /** The newest sandbox, as far as this piece of the log tells. */
  readonly sandbox: Accessor<SandboxLife | undefined> = this.#sandbox[0];
  /** Changes that can be looked at; a newer one each time that a prompt ends. */
  readonly kept: Accessor<EventOf<"changes_kept"> | undefined> = this.#kept[0];
  /** Grows with each tool call that ended and may have written a file. */
  readonly written: Accessor<number> = this.#parts.written;
  /** What the agent has shown, oldest first. */
  readonly artifacts: Accessor<readonly Artifact[]> = this.#artifacts.all;

  /** What the session list says (`State::activity` of the Worker). */
  readonly state: Accessor<SessionState> = () => {
    if (this.#archived[0]()) return "archived";
    if (this.running() || this.queue().length > 0) return "working";
    if (this.#failed[0]()) return "failed";
    return this.#starting[0]() === undefined ? "idle" : "warming";
  };

  /** Notifies of everything that is added: for whoever looks at something else meanwhile. */
  readonly activity: Accessor<undefined> = this.#activity[0];

  /**
   * What a fold that does not begin with the log cannot know. `queue`: what waits now, which the
   * log may tell once more.
   */
  seed(summary: SessionSummary, queue: readonly Prompt[]): void {
    if (this.title() === undefined && summary.title !== "") this.#title[1](summary.title);
    if (summary.parent) this.#parent[1](summary.parent);
    if (summary.state === "archived") this.#archived[1](true);
    for (const prompt of queue) this.#enqueue(prompt);
  }

  /** Pull requests as the server knows them; the log tells what changes from then on. */
  seedPullRequests(pulls: readonly PullRequest[]): void {
    this.#pullRequests.seed(pulls);
  }

  /** False when a finished part is not what its deltas add up to: something was missed. */
  apply(event: Event): boolean {
    this.#activity[1]();
    switch (event.type) {
      case "session_created":
        if (!event.parent) break;
        this.#parent[1](event.parent);
        this.#items.push({ kind: "row", row: event });
        break;
      case "session_titled":
        this.#title[1](event.title);
        break;
      case "session_archived":
        this.#archived[1](true);
        this.#items.push({ kind: "row", row: event });
        break;
      case "prompt_queued":
        this.#enqueue(event.prompt);
        break;
      case "prompt_edited":
        this.#queue.edit(event);
        break;
      case "prompt_cancelled":
        this.#queue.take(event.prompt);
        break;
      case "prompts_reordered":
        this.#queue.reorder(event.order);
        break;
      case "queue_paused":
        this.#paused[1](event.by);
        this.#add({ kind: "row", row: event }, this.running()?.prompt.id);
        break;
      case "queue_resumed":
        this.#paused[1](undefined);
        this.#items.push({ kind: "row", row: event });
        break;
      case "prompt_started":
        this.#startTurn(event);
        break;
      case "prompt_resumed":
        this.#add({ kind: "row", row: event }, event.prompt);
        break;
      case "prompt_finished":
        this.#finishTurn(event);
        break;
      case "sandbox_starting":
        this.#startSandbox(event);
        break;
      case "sandbox_ready": {
        const { at, commit, image } = event;
        this.#sandbox[1]("ready");
        this.#sandboxIs(event.epoch, { phase: "ready", at, commit, fromImage: image !== null });
        break;
      }
      case "sandbox_lost":
        this.#sandbox[1]("lost");
        if (!this.#sandboxes.has(event.epoch)) this.#addSandbox(event.epoch, event.at);
        this.#sandboxIs(event.epoch, { phase: "lost", at: event.at, reason: event.reason });
        break;
      case "sandbox_slept":
        this.#slept = true;
        this.#sandbox[1]("asleep");
        this.#sandboxEnded(event.epoch);
        this.#items.push({ kind: "row", row: event });
        break;
      case "sandbox_released":
        this.#sandbox[1]("asleep");
        this.#sandboxEnded(event.epoch);
        break;
      case "snapshotted":
        if (event.prompt !== undefined) this.#add({ kind: "row", row: event }, event.prompt);
        break;
      case "step":
        this.#place(event.step);
        break;
      case "part_started": {
        const part = this.#parts.start(event);
        this.#turns.get(event.prompt)?.items.push({ kind: "part", part });
        break;
      }
      case "part_finished":
        return this.#parts.finish(event);
      case "pushed":
        this.#pushed[1](event);
        this.#add({ kind: "row", row: event }, event.prompt);
        break;
      case "pull_request_opened":
        this.#pullRequests.opened(event);
        this.#add({ kind: "row", row: event }, event.prompt);
        break;
      case "pull_request_changed":
        this.#pullRequests.changed(event.number, { state: event.state });
        this.#items.push({ kind: "row", row: event });
        break;
      case "pull_request_reviewed":
        if (event.verdict !== "commented") this.#pullRequests.changed(event.number, { review: event.verdict });
        this.#items.push({ kind: "row", row: event });
        break;
      case "checks_finished": {
        const { failed } = event;
        this.#pullRequests.changed(event.number, { checks: failed.length > 0 ? "failed" : "passed", failed });
        this.#items.push({ kind: "row", row: event });
        break;
      }
      case "artifact_added":
        this.#artifacts.push(event.artifact);
        this.#add({ kind: "row", row: event }, event.prompt ?? this.running()?.prompt.id);
        break;
      case "update":
        this.#add({ kind: "row", row: event }, event.prompt);
        break;
      case "limit_reached":
      case "notice":
        this.#add({ kind: "row", row: event }, this.running()?.prompt.id);
        break;
      case "changes_kept":
        this.#kept[1](event);
        break;
      default:
        // Every kind is handled above, which the compiler sees to. A newer server may say more than
        // this page knows; the rest still reads well.
        event satisfies never;
    }
    return true;
  }

  /**
   * Live text of a growing part. `offset` must meet what is here; what overlaps replaces it, since
   * a growing part is sent again from 0 after a reconnect. False when something is missing.
   */
  delta(id: PartId, offset: number, text: string): boolean {
    const part = this.#parts.get(id);
    if (!part) return false;
    if (part.state().phase === "finished") return true;
    const { source } = part;
    if (offset > source.length) return false;
    this.#activity[1]();
    if (offset === source.length) source.append(text);
    else if (!source.text().startsWith(text, offset)) source.replace(source.text().slice(0, offset) + text);
    return true;
  }

  /** Takes what there is for a part whose deltas never added up. */
  settle(event: EventOf<"part_finished">): void {
    this.#parts.settle(event);
  }

  #enqueue(prompt: Prompt): void {
    this.#failed[1](false);
    this.#queue.add(prompt);
  }

  #startTurn(event: EventOf<"prompt_started">): void {
    const prompt = this.#queue.take(event.prompt);
    if (!prompt) return;
    const items = list<TurnItem>();
    const steps = list<Step>();
    const [state, setState] = createSignal<TurnState>({ phase: "running" });
    for (const step of this.#upcoming.take()) steps.push(step);
    for (const item of this.#newSandboxes()) items.push(item);
    const view: Turn = { prompt, startedAt: event.at, items: items.all, steps: steps.all, state };
    this.#turns.set(prompt.id, { view, items, steps, setState });
    this.#items.push({ kind: "turn", turn: view });
    this.#running[1]((running) => [...running, view]);
    this.#last[1](view);
  }

  /** Sandboxes that were started for the turn which begins: they are part of its work. */
  #newSandboxes(): (Item & { kind: "sandbox" })[] {
    const all = this.items();
    const isNew = (item: Item) =>
      item.kind === "sandbox" && item.sandbox.state().phase !== "lost" && item.sandbox.state().phase !== "released";
    const from = all.findLastIndex((item) => !isNew(item)) + 1;
    return this.#items.take(from).filter((item) => item.kind === "sandbox");
  }

  #finishTurn(event: EventOf<"prompt_finished">): void {
    // A prompt may end before it starts: stopped, or failed while the sandbox was being made.
    if (!this.#turns.has(event.prompt)) this.#startTurn({ ...event, type: "prompt_started" });
    const turn = this.#turns.get(event.prompt);
    if (!turn) return;
    turn.setState({ phase: "finished", at: event.at, outcome: event.outcome });
    for (const item of turn.view.items()) {
      if (item.kind === "part") this.#parts.interrupt(item.part.id, event.at);
    }
    this.#running[1]((running) => running.filter((other) => other !== turn.view));
    this.#failed[1](event.outcome.result === "failed");
  }

  #startSandbox(event: EventOf<"sandbox_starting">): void {
    this.#sandbox[1]("starting");
    this.#starting[1](event.epoch);
    this.#addSandbox(event.epoch, event.at);
  }

  #addSandbox(epoch: number, startedAt: number): void {
    const [state, setState] = createSignal<SandboxState>({ phase: "starting" });
    this.#sandboxes.set(epoch, setState);
    const sandbox: Sandbox = { startedAt, restored: this.#slept, state };
    this.#slept = false;
    this.#add({ kind: "sandbox", sandbox }, this.running()?.prompt.id);
  }

  #sandboxIs(epoch: number, state: SandboxState): void {
    this.#sandboxes.get(epoch)?.(state);
    this.#starting[1]((starting) => (starting === epoch ? undefined : starting));
  }

  /** One that was ready has said so, and the next prompt starts or wakes another. */
  #sandboxEnded(epoch: number): void {
    if (this.#starting[0]() === epoch) this.#sandboxIs(epoch, { phase: "released" });
  }

  #place(step: Step): void {
    const running = this.running();
    const last = this.last();
    // A push and its pull request may be reported after their prompt has finished.
    const late = step.name === "run" || step.name === "push" || step.name === "pull_request";
    const turn = running ?? (late && this.queue().length === 0 ? last : undefined);
    const steps = (turn && this.#turns.get(turn.prompt.id)?.steps) ?? this.#upcoming;
    steps.push(step);
  }

  /** Into the turn that it belongs to, else between turns. */
  #add(item: Exclude<TurnItem, { kind: "part" }>, prompt: PromptId | undefined): void {
    const turn = prompt === undefined ? undefined : this.#turns.get(prompt);
    if (turn) turn.items.push(item);
    else this.#items.push(item);
  }
}
