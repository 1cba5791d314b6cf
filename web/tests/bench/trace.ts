/** How long the main thread worked between one mark of a page and the next. */
import type { CDPSession, Page } from "playwright-core";

/** A message and a frame; layout that they force is within them, as it is in both ways. */
const SCRIPT = new Set(["TimerFire", "FireAnimationFrame"]);

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  /** Of the thread, in microseconds. */
  readonly tdur?: number;
}

/** What the browser itself says of its work. */
export class Trace {
  readonly #session: CDPSession;
  readonly #events: TraceEvent[] = [];

  static async start(page: Page): Promise<Trace> {
    const trace = new Trace(await page.context().newCDPSession(page));
    const includedCategories = ["devtools.timeline", "blink.user_timing"];
    await trace.#session.send("Tracing.start", {
      traceConfig: { includedCategories, excludedCategories: ["*"] },
      transferMode: "ReportEvents",
    });
    return trace;
  }

  private constructor(session: CDPSession) {
    this.#session = session;
    session.on("Tracing.dataCollected", ({ value }) => this.#events.push(...(value as unknown as TraceEvent[])));
  }

  /** Milliseconds from each mark to the next. */
  async end(): Promise<number[]> {
    const complete = new Promise((done) => this.#session.once("Tracing.tracingComplete", done));
    await this.#session.send("Tracing.end");
    await complete;
    const marks = this.#events.filter((event) => event.name === "piece").sort((one, other) => one.ts - other.ts);
    const [first] = marks;
    const ours = (event: TraceEvent) => event.pid === first?.pid && event.tid === first.tid;
    const script = this.#events.filter((event) => SCRIPT.has(event.name) && ours(event));
    return marks.slice(1).map((mark, index) => {
      const since = marks[index]?.ts ?? 0;
      const within = script.filter((event) => event.ts >= since && event.ts < mark.ts);
      return within.reduce((sum, event) => sum + (event.tdur ?? 0), 0) / 1000;
    });
  }
}
