/**
 * A session of the development peer: a log, growing parts, and the sockets that follow them.
 *
 * It keeps the protocol's promises (`sandbox-runner/protocol`): events have no gaps, deltas of a
 * part meet, and a finished part comes without its text only to whoever received every delta.
 */
import type {
  Artifact,
  ArtifactId,
  ClientFrame,
  Event,
  Fact,
  Outcome,
  PartBody,
  PartId,
  PartOutcome,
  Participant,
  Person,
  Prompt,
  PromptId,
  Seq,
  ServerFrame,
  SessionState,
  SessionSummary,
} from "../ui/src/protocol.ts";

const PAGE = 200;

export interface Viewer {
  readonly person: Person;
  send(frame: ServerFrame): void;
  /** Breaks the connection as a network does: without a closing handshake. */
  cut(): void;
}

interface Following {
  readonly viewer: Viewer;
  active: boolean;
  subscribed: boolean;
  /** Parts of which this viewer has every delta. */
  readonly complete: Set<PartId>;
}

export class PlayedSession {
  readonly log: Event[] = [];
  readonly summary: SessionSummary;
  /** Every prompt frame that arrived, also repetitions. */
  readonly received: Extract<ClientFrame, { type: "prompt" }>[] = [];
  onPrompt: (prompt: Prompt) => void = () => undefined;
  onStop: (by: Person) => void = () => undefined;
  /** The log has grown, so the summary may be another. */
  onChange: () => void = () => undefined;
  /** Facts carry this time; it moves with `tick`. */
  now: number;

  readonly #following = new Map<Viewer, Following>();
  readonly #growing = new Map<PartId, string>();
  readonly #requests = new Map<string, PromptId>();
  #queue: Prompt[] = [];
  #running: PromptId | undefined;
  #nextPart = 1;
  #nextPrompt = 1;

  readonly #attached: (ids: readonly ArtifactId[] | undefined) => Artifact[];
  #paused = false;

  constructor(summary: SessionSummary, attached: (ids: readonly ArtifactId[] | undefined) => Artifact[] = () => []) {
    this.summary = summary;
    this.#attached = attached;
    this.now = summary.created_at;
    this.append({
      type: "session_created",
      repository: summary.repository,
      branch: summary.branch,
      by: summary.created_by,
      ...(summary.parent && { parent: summary.parent }),
    });
    if (summary.title) this.append({ type: "session_titled", title: summary.title });
  }

  tick(ms: number): void {
    this.now += ms;
  }

  append(...facts: Fact[]): void {
    const events = facts.map((fact, index) => ({ seq: this.log.length + index + 1, at: this.now, ...fact }));
    this.log.push(...events);
    for (const event of events) this.#note(event);
    this.#broadcast({ type: "events", events });
    this.onChange();
  }

  /** A prompt as the Worker takes it: once per request, started when nothing runs. */
  prompt(
    author: Person,
    text: string,
    requestId?: string,
    mode: Prompt["mode"] = "queue",
    attachments: Artifact[] = [],
    source: Prompt["source"] = "web",
  ): PromptId {
    const known = requestId === undefined ? undefined : this.#requests.get(requestId);
    if (known !== undefined) return known;
    const prompt: Prompt = {
      id: `pmt_${this.#nextPrompt}`,
      author,
      text,
      source,
      mode,
      ...(attachments.length > 0 && { attachments }),
      ...(requestId !== undefined && { client_request_id: requestId }),
    };
    this.#nextPrompt += 1;
    if (requestId !== undefined) this.#requests.set(requestId, prompt.id);
    // A session that was made without a prompt is called after its first.
    if (!this.summary.title) this.append({ type: "session_titled", title: text.split("\n")[0]?.slice(0, 80) ?? "" });
    this.append({ type: "prompt_queued", prompt });
    this.#startNext();
    return prompt.id;
  }

  part(body: PartBody): PartId {
    const part = this.#nextPart;
    this.#nextPart += 1;
    this.#growing.set(part, "");
    for (const following of this.#following.values()) following.complete.add(part);
    this.append({ type: "part_started", part, prompt: this.running, body });
    return part;
  }

  grow(part: PartId, text: string): void {
    const before = this.#growing.get(part) ?? "";
    this.#growing.set(part, before + text);
    this.#broadcast({ type: "delta", part, offset: before.length, text });
  }

  endPart(part: PartId, outcome: PartOutcome = { result: "completed" }): void {
    const text = this.#growing.get(part) ?? "";
    this.#growing.delete(part);
    const event: Event = {
      seq: this.log.length + 1,
      at: this.now,
      type: "part_finished",
      part,
      prompt: this.running,
      length: text.length,
      text,
      outcome,
    };
    this.log.push(event);
    const { text: _, ...without } = event;
    for (const following of this.#following.values()) {
      if (!following.subscribed) continue;
      const events = [following.complete.has(part) ? without : event];
      following.viewer.send({ type: "events", events });
    }
  }

  endPrompt(outcome: Outcome = { result: "completed" }): void {
    const prompt = this.running;
    this.#running = undefined;
    this.append({ type: "prompt_finished", prompt, outcome });
    this.#startNext();
  }

  get running(): PromptId {
    if (this.#running === undefined) throw new Error("nothing runs");
    return this.#running;
  }

  get busy(): boolean {
    return this.#running !== undefined;
  }

  connect(viewer: Viewer): void {
    this.#following.set(viewer, { viewer, active: true, subscribed: false, complete: new Set() });
  }

  disconnect(viewer: Viewer): void {
    if (this.#following.delete(viewer)) this.#presence();
  }

  cutAll(): void {
    for (const viewer of [...this.#following.keys()]) viewer.cut();
  }

  get viewers(): number {
    return this.#following.size;
  }

  handle(viewer: Viewer, frame: ClientFrame): void {
    const following = this.#following.get(viewer);
    if (!following) return;
    switch (frame.type) {
      case "subscribe":
        this.#subscribe(following, frame.since);
        break;
      case "prompt":
        this.received.push(frame);
        this.prompt(viewer.person, frame.text, frame.client_request_id, frame.mode, this.#attached(frame.attachments));
        break;
      case "edit_prompt":
        this.edit(frame.prompt, frame.text, viewer.person);
        break;
      case "cancel_prompt":
        this.cancel(frame.prompt, viewer.person);
        break;
      case "insert_prompt":
        this.insert(frame.prompt);
        break;
      case "reorder_prompts":
        this.reorder(frame.order, viewer.person);
        break;
      case "resume_queue":
        this.resume(viewer.person);
        break;
      case "clear_queue":
        this.clear(viewer.person);
        break;
      case "stop":
        if (this.busy) this.onStop(viewer.person);
        break;
      case "typing":
        this.#broadcast({ type: "typing", person: viewer.person }, viewer.person);
        break;
      case "presence":
        following.active = frame.active;
        this.#presence();
        break;
      case "ping":
        viewer.send({ type: "pong" });
        break;
    }
  }

  edit(id: PromptId, text: string, by: Person): boolean {
    const waiting = this.#queue.find((prompt) => prompt.id === id);
    if (!waiting) return false;
    waiting.text = text;
    this.append({ type: "prompt_edited", prompt: id, text, by });
    return true;
  }

  cancel(id: PromptId, by: Person): boolean {
    if (!this.#queue.some((prompt) => prompt.id === id)) return false;
    this.#queue = this.#queue.filter((prompt) => prompt.id !== id);
    this.append({ type: "prompt_cancelled", prompt: id, by });
    return true;
  }

  /** False unless these are exactly the prompts that wait. */
  reorder(order: readonly PromptId[], by: Person): boolean {
    const known = new Map(this.#queue.map((prompt) => [prompt.id, prompt]));
    const reordered = order.flatMap((id) => known.get(id) ?? []);
    if (reordered.length !== this.#queue.length || new Set(order).size !== order.length) return false;
    this.#queue = reordered;
    this.append({ type: "prompts_reordered", order: [...order], by });
    return true;
  }

  /** Joins the running prompt. */
  insert(id: PromptId): boolean {
    if (!this.busy || !this.#queue.some((prompt) => prompt.id === id)) return false;
    this.#queue = this.#queue.filter((prompt) => prompt.id !== id);
    this.append({ type: "prompt_started", prompt: id });
    this.append({ type: "prompt_finished", prompt: id, outcome: { result: "completed" } });
    return true;
  }

  /** Ends the running prompt, and nothing starts until somebody resumes. */
  stop(by: Person): void {
    this.#paused = true;
    this.summary.paused = true;
    this.endPrompt({ result: "stopped", by });
    this.append({ type: "queue_paused", by });
  }

  resume(by: Person): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.summary.paused = false;
    this.append({ type: "queue_resumed", by });
    this.#startNext();
  }

  clear(by: Person): void {
    for (const { id } of [...this.#queue]) this.cancel(id, by);
    this.resume(by);
  }

  /** Sends a frame to everybody, whatever it is. */
  say(frame: ServerFrame): void {
    this.#broadcast(frame);
  }

  #subscribe(following: Following, since: Seq): void {
    const { viewer } = following;
    if (since > this.log.length) {
      viewer.send({ type: "error", code: "unknown_seq", message: `The log ends at ${this.log.length}.` });
      return;
    }
    const newcomer = !following.subscribed;
    following.subscribed = true;
    viewer.send({
      type: "welcome",
      session: this.summary,
      participants: this.#participants(),
      queue: this.#queue,
      head_seq: this.log.length,
    });
    for (let sent = since; sent < this.log.length; sent += PAGE) {
      viewer.send({ type: "events", events: this.log.slice(sent, sent + PAGE) });
    }
    following.complete.clear();
    for (const [part, text] of this.#growing) {
      following.complete.add(part);
      if (text) viewer.send({ type: "delta", part, offset: 0, text });
    }
    if (newcomer) this.#presence();
  }

  #startNext(): void {
    if (this.#running !== undefined || this.#paused) return;
    const next = this.#queue.shift();
    if (!next) return;
    this.#running = next.id;
    this.append({ type: "prompt_started", prompt: next.id });
    this.onPrompt(next);
  }

  #note(event: Event): void {
    this.summary.updated_at = event.at;
    if (event.type === "prompt_queued") this.#queue.push({ ...event.prompt });
    if (event.type === "session_titled") this.summary.title = event.title;
    if (event.type === "pull_request_opened") {
      this.summary.pull_requests.push({
        number: event.number,
        url: event.url,
        title: event.title,
        branch: `agent/${this.summary.id}`,
        state: "open",
      });
    }
    const pull = "number" in event && this.summary.pull_requests.find(({ number }) => number === event.number);
    if (pull) {
      if (event.type === "pull_request_changed") pull.state = event.state;
      if (event.type === "pull_request_reviewed" && event.verdict !== "commented") pull.review = event.verdict;
      if (event.type === "checks_finished") pull.checks = event.failed.length > 0 ? "failed" : "passed";
    }
    this.summary.state = this.#state(event);
  }

  #state(event: Event): SessionState {
    if (event.type === "session_archived" || this.summary.state === "archived") return "archived";
    if (this.#running !== undefined || this.#queue.length > 0) return "working";
    if (event.type === "prompt_finished") return event.outcome.result === "failed" ? "failed" : "idle";
    if (event.type === "sandbox_starting") return "warming";
    return this.summary.state === "working" || event.type === "sandbox_ready" ? "idle" : this.summary.state;
  }

  #participants(): Participant[] {
    const found = new Map<number, Participant>();
    for (const { viewer, active } of this.#following.values()) {
      const known = found.get(viewer.person.id);
      found.set(viewer.person.id, { person: viewer.person, active: active || (known?.active ?? false) });
    }
    return [...found.values()];
  }

  #presence(): void {
    this.#broadcast({ type: "presence", participants: this.#participants() });
  }

  #broadcast(frame: ServerFrame, except?: Person): void {
    for (const { viewer, subscribed } of this.#following.values()) {
      if (subscribed && viewer.person.id !== except?.id) viewer.send(frame);
    }
  }
}
