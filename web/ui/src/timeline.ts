/**
 * A session's log folded into what a person reads: turns, their parts, and what happened between.
 *
 * Events are applied in order, each once; whoever applies them proves that (see `store.ts`). No
 * I/O and no clock. What changes later is a signal of its own, so a token that arrives touches
 * one text and nothing else, and a log of ten thousand events folds without a render.
 */
import { createSignal, type Accessor } from "solid-js";

import { GrowingText } from "./growing-text.ts";
import type {
  Artifact,
  Event,
  Fact,
  Outcome,
  Parent,
  PartId,
  PartOutcome,
  Person,
  Prompt,
  PromptId,
  PullRequest,
  SessionState,
  SessionSummary,
  Step,
} from "./protocol.ts";
import { mayWrite } from "./writing.ts";

export type EventOf<T extends Fact["type"]> = Extract<Event, { type: T }>;

/** What the log says of one; a summary knows its branch too. */
export type OpenedPullRequest = Omit<PullRequest, "branch"> & {
  readonly branch?: string;
  /** Names of the checks that failed last, if the log told. */
  readonly failed?: readonly string[];
};

/** Rows that say what happened around the agent's own words. */
export type Row = EventOf<
  | "notice"
  | "update"
  | "limit_reached"
  | "pushed"
  | "pull_request_opened"
  | "pull_request_changed"
  | "pull_request_reviewed"
  | "checks_finished"
  | "artifact_added"
  | "prompt_resumed"
  | "sandbox_slept"
  | "snapshotted"
  | "queue_paused"
  | "queue_resumed"
  | "session_created"
  | "session_archived"
>;

export type SandboxState =
  | { phase: "starting" }
  | { phase: "ready"; at: number; commit: string; fromImage: boolean }
  /** Nobody used it, or it fell asleep before anybody could. */
  | { phase: "released" }
  | { phase: "lost"; at: number; reason: string };

/** What is known of the newest sandbox. `asleep` also stands for one that was never woken. */
export type SandboxLife = "starting" | "ready" | "asleep" | "lost";

export interface Sandbox {
  readonly startedAt: number;
  /** It goes on from what one before it had kept when it fell asleep. */
  readonly restored: boolean;
  readonly state: Accessor<SandboxState>;
}

export type PartState = { phase: "growing" } | ({ phase: "finished"; at: number } & PartOutcome);

export interface Part {
  readonly id: PartId;
  readonly kind: "text" | "reasoning" | "tool";
  /** Name and arguments of a tool call. */
  readonly tool: string;
  readonly input: string;
  readonly startedAt: number;
  readonly title: Accessor<string>;
  /** The words of a text, the output of a tool. */
  readonly text: Accessor<string>;
  /** The same, for whoever follows it while it grows. */
  readonly source: GrowingText;
  readonly state: Accessor<PartState>;
}

export type TurnItem =
  | { readonly kind: "part"; readonly part: Part }
  | { readonly kind: "row"; readonly row: Row }
  | { readonly kind: "sandbox"; readonly sandbox: Sandbox };

export type TurnState = { phase: "running" } | { phase: "finished"; at: number; outcome: Outcome };

export interface Turn {
  readonly prompt: Prompt;
  readonly startedAt: number;
  readonly items: Accessor<readonly TurnItem[]>;
  readonly steps: Accessor<readonly Step[]>;
  readonly state: Accessor<TurnState>;
}

export type Item = { readonly kind: "turn"; readonly turn: Turn } | Exclude<TurnItem, { kind: "part" }>;

export interface Waiting {
  readonly prompt: Prompt;
  readonly editedBy: Person | undefined;
}

/** The same array is changed in place and announced, since copying would make folding quadratic. */
function list<T>(): { all: Accessor<readonly T[]>; push(item: T): void; take(from?: number): T[] } {
  const items: T[] = [];
  const [changed, announce] = createSignal(undefined, { equals: false });
  return {
    all: () => (changed(), items),
    push(item) {
      items.push(item);
      announce();
    },
    take(from = 0) {
      const taken = items.splice(from);
      announce();
      return taken;
    },
  };
}

type List<T> = ReturnType<typeof list<T>>;

interface OpenPart {
  view: Part;
  setTitle(title: string): void;
  setState(state: PartState): void;
}

interface OpenTurn {
  view: Turn;
  items: List<TurnItem>;
  steps: List<Step>;
  setState(state: TurnState): void;
}

export class Timeline {
  readonly #items = list<Item>();
  readonly #turns = new Map<PromptId, OpenTurn>();
  readonly #parts = new Map<PartId, OpenPart>();
  readonly #sandboxes = new Map<number, (state: SandboxState) => void>();
  #slept = false;
  /** Steps that no turn has claimed: a sandbox starts before the prompt does. */
  readonly #upcoming = list<Step>();

  readonly #queue = createSignal<readonly Waiting[]>([]);
  readonly #running = createSignal<readonly Turn[]>([]);
  readonly #last = createSignal<Turn | undefined>();
  readonly #title = createSignal<string | undefined>();
  readonly #pullRequests = createSignal<readonly OpenedPullRequest[]>([]);
  readonly #paused = createSignal<Person | undefined>();
  readonly #parent = createSignal<Parent | undefined>();
  readonly #pushed = createSignal<EventOf<"pushed"> | undefined>();
  readonly #archived = createSignal(false);
  readonly #failed = createSignal(false);
  readonly #activity = createSignal(undefined, { equals: false });
  readonly #starting = createSignal<number | undefined>();
  readonly #sandbox = createSignal<SandboxLife | undefined>();
  readonly #kept = createSignal<EventOf<"changes_kept"> | undefined>();
  readonly #written = createSignal(0);
  readonly #artifacts = list<Artifact>();

  /** Turns and what happened between them, oldest first. */
  readonly items: Accessor<readonly Item[]> = this.#items.all;
  /** Prompts that wait, in the order in which the agent will read them. */
  readonly queue: Accessor<readonly Waiting[]> = this.#queue[0];
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
  readonly pullRequests: Accessor<readonly OpenedPullRequest[]> = this.#pullRequests[0];
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
  readonly written: Accessor<number> = this.#written[0];
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
    const known = new Map(this.pullRequests().map((pull) => [pull.number, pull]));
    const told = pulls.map((pull) => {
      const failed = pull.checks === "failed" ? known.get(pull.number)?.failed : undefined;
      return { ...pull, ...(failed && { failed }) };
    });
    const numbers = new Set(pulls.map(({ number }) => number));
    this.#pullRequests[1]([...told, ...this.pullRequests().filter(({ number }) => !numbers.has(number))]);
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
        this.#queue[1]((queue) =>
          queue.map((waiting) =>
            waiting.prompt.id === event.prompt
              ? { prompt: { ...waiting.prompt, text: event.text }, editedBy: event.by }
              : waiting,
          ),
        );
        break;
      case "prompt_cancelled":
        this.#dequeue(event.prompt);
        break;
      case "prompts_reordered":
        this.#reorder(event.order);
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
      case "part_started":
        this.#startPart(event);
        break;
      case "part_finished":
        return this.#finishPart(event);
      case "pushed":
        this.#pushed[1](event);
        this.#add({ kind: "row", row: event }, event.prompt);
        break;
      case "pull_request_opened":
        this.#opened(event);
        this.#add({ kind: "row", row: event }, event.prompt);
        break;
      case "pull_request_changed":
        this.#pull(event.number, { state: event.state });
        this.#items.push({ kind: "row", row: event });
        break;
      case "pull_request_reviewed":
        if (event.verdict !== "commented") this.#pull(event.number, { review: event.verdict });
        this.#items.push({ kind: "row", row: event });
        break;
      case "checks_finished": {
        const { failed } = event;
        this.#pull(event.number, { checks: failed.length > 0 ? "failed" : "passed", failed });
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
    if (part.view.state().phase === "finished") return true;
    const { source } = part.view;
    if (offset > source.length) return false;
    this.#activity[1]();
    if (offset === source.length) source.append(text);
    else if (!source.text().startsWith(text, offset)) source.replace(source.text().slice(0, offset) + text);
    return true;
  }

  /** Takes what there is for a part whose deltas never added up. */
  settle(event: EventOf<"part_finished">): void {
    const part = this.#parts.get(event.part);
    part?.setState({ phase: "finished", at: event.at, ...event.outcome });
  }

  #enqueue(prompt: Prompt): void {
    this.#failed[1](false);
    this.#queue[1]((queue) => {
      const waiting: Waiting = { prompt, editedBy: undefined };
      // It may have been told before, by what came with the connection.
      if (queue.some((other) => other.prompt.id === prompt.id)) {
        return queue.map((other) => (other.prompt.id === prompt.id ? waiting : other));
      }
      if (prompt.mode === "queue") return [...queue, waiting];
      const behind = queue.findIndex((other) => other.prompt.mode === "queue");
      return behind < 0 ? [...queue, waiting] : [...queue.slice(0, behind), waiting, ...queue.slice(behind)];
    });
  }

  /** What the new order does not name stays behind what it names. */
  #reorder(order: readonly PromptId[]): void {
    this.#queue[1]((queue) => {
      const place = (waiting: Waiting) => {
        const found = order.indexOf(waiting.prompt.id);
        return found < 0 ? order.length : found;
      };
      return [...queue].sort((one, other) => place(one) - place(other));
    });
  }

  #opened({ number, url, title }: EventOf<"pull_request_opened">): void {
    this.#pullRequests[1]((all) =>
      all.some((one) => one.number === number)
        ? all.map((one) => (one.number === number ? { ...one, url, title } : one))
        : [...all, { number, url, title, state: "open" }],
    );
  }

  #pull(number: number, news: Partial<OpenedPullRequest>): void {
    this.#pullRequests[1]((all) => all.map((one) => (one.number === number ? { ...one, ...news } : one)));
  }

  #dequeue(id: PromptId): Prompt | undefined {
    const waiting = this.queue().find((other) => other.prompt.id === id);
    if (waiting) this.#queue[1]((queue) => queue.filter((other) => other !== waiting));
    return waiting?.prompt;
  }

  #startTurn(event: EventOf<"prompt_started">): void {
    const prompt = this.#dequeue(event.prompt);
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
      if (item.kind === "part" && item.part.state().phase === "growing") {
        this.#parts.get(item.part.id)?.setState({ phase: "finished", at: event.at, result: "failed", message: "interrupted" });
      }
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

  #startPart(event: EventOf<"part_started">): void {
    const source = new GrowingText();
    const [title, setTitle] = createSignal(event.body.kind === "tool" ? event.body.title : "");
    const [state, setState] = createSignal<PartState>({ phase: "growing" });
    const view: Part = {
      id: event.part,
      kind: event.body.kind,
      tool: event.body.kind === "tool" ? event.body.tool : "",
      input: event.body.kind === "tool" ? event.body.input : "",
      startedAt: event.at,
      title,
      text: () => source.text(),
      source,
      state,
    };
    this.#parts.set(event.part, { view, setTitle, setState });
    this.#turns.get(event.prompt)?.items.push({ kind: "part", part: view });
  }

  #finishPart(event: EventOf<"part_finished">): boolean {
    const part = this.#parts.get(event.part);
    if (!part) return true;
    if (event.text !== undefined) part.view.source.replace(event.text);
    else if (part.view.source.length !== event.length) return false;
    if (event.outcome.result === "completed" && event.outcome.title) part.setTitle(event.outcome.title);
    part.setState({ phase: "finished", at: event.at, ...event.outcome });
    if (part.view.kind === "tool" && mayWrite(part.view.tool)) this.#written[1]((count) => count + 1);
    return true;
  }

  /** Into the turn that it belongs to, else between turns. */
  #add(item: Exclude<TurnItem, { kind: "part" }>, prompt: PromptId | undefined): void {
    const turn = prompt === undefined ? undefined : this.#turns.get(prompt);
    if (turn) turn.items.push(item);
    else this.#items.push(item);
  }
}
