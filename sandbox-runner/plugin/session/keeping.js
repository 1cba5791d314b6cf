// A call that writes waits until what was written before it is kept where the loss of the machine does
// not reach it: so that costs one call at most. Reads never wait, and no call does for those that run
// beside it.
//
// `POST /workspace/wrote` is held by the runner until all that was written by then is kept, and answers
// { kept: "safe" | "given_up" | "unknown" }. A model's next call comes later than that as a rule. Where
// it takes longer than the deadline, the call goes on, people are told, and nothing waits any more until
// something is kept within it again: work that is too large to be kept at once, or a store that is away,
// costs the deadline once.

import { Pauses, post } from "./runner.js"
import { NOTICEABLE_MS, Waiting } from "./waiting.js"
import { writes } from "./writes.js"

/** Longest that one write waits. */
const DEADLINE_MS = 2_000
/** Before the runner is told again that did not answer, at first. */
const PAUSE_MS = 100

export class Keeping {
  /**
   * @param {object} options
   * @param {string} options.gateway
   * @param {(wait: { ms: number, tool: string, path: string, cause: "keeping" | "late" }) => void} options.tell
   * @param {number} [options.deadline]
   * @param {AbortSignal} [options.signal] ends the requests
   */
  constructor({ gateway, tell, deadline = DEADLINE_MS, signal }) {
    this.gateway = gateway
    this.tell = tell
    this.deadline = deadline
    this.signal = signal
    this.waiting = new Waiting()
    /** Calls that wrote and have ended, counted. */
    this.ended = 0
    /** Nothing that calls up to this one wrote has to be waited for. */
    this.settled = 0
    /** Whether what was last kept was kept within the deadline. */
    this.inTime = true
    /** Calls that may be writing: which conversation's, by call. */
    /** @type {Map<string, string>} */
    this.running = new Map()
  }

  /**
   * To be called before a tool runs, when nothing else is waited for; returns when it may.
   *
   * @param {{ tool: string, callID: string, sessionID: string }} call
   * @param {unknown} args
   */
  async before({ tool, callID, sessionID }, args) {
    const wanted = writes(tool, args)
    if (!wanted) return
    const upto = this.ended
    const may = () => this.settled >= upto || !this.inTime
    if (!may()) {
      const began = Date.now()
      if (!(await this.waiting.until(sessionID, this.deadline, may))) {
        this.inTime = false
        this.waiting.look()
      }
      const ms = Date.now() - began
      const cause = this.settled < upto ? "late" : "keeping"
      const path = "paths" in wanted ? wanted.paths.join(", ") : ""
      if (ms > NOTICEABLE_MS) this.tell({ ms, tool, path, cause })
    }
    this.running.set(callID, sessionID)
  }

  /**
   * To be called when a call has ended, in whatever way and as often as that is heard of.
   *
   * @param {string} callID
   */
  after(callID) {
    if (!this.running.delete(callID)) return
    this.ended += 1
    void this.follow(this.ended)
  }

  /**
   * Conversations have come to rest. Their calls have ended, or were stopped while they waited.
   *
   * @param {(conversation: string) => boolean} rests
   */
  rest(rests) {
    this.waiting.stop(rests)
    for (const [callID, conversation] of [...this.running]) {
      if (rests(conversation)) this.after(callID)
    }
  }

  /**
   * Tells the runner at once, since it keeps what it knows of, and again until it answers, unless a later
   * call is told of: that one's answer is for all before it.
   *
   * @param {number} upto
   */
  async follow(upto) {
    const began = Date.now()
    const pauses = new Pauses(PAUSE_MS)
    do {
      if ((await this.ask()) !== "unknown") {
        this.settled = Math.max(this.settled, upto)
        this.inTime = Date.now() - began <= this.deadline
        return this.waiting.look()
      }
      // The runner is away for a moment, or for good: writes have their own deadline.
      await pauses.pass()
    } while (upto === this.ended && !this.signal?.aborted)
  }

  /** @returns {Promise<"safe" | "given_up" | "unknown">} */
  async ask() {
    try {
      const response = await post(this.gateway, "wrote", {}, this.signal)
      // There is nobody who keeps it, as while an image is built.
      if (response.status === 404) return "given_up"
      if (!response.ok) return "unknown"
      const { kept } = /** @type {{ kept?: unknown }} */ (await response.json())
      return kept === "safe" || kept === "given_up" ? kept : "unknown"
    } catch {
      return "unknown"
    }
  }
}
