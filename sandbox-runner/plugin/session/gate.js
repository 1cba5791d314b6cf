// Reads pass at once; a write waits until the runner has told which paths the sync changes, and then
// only if it touches one of them, until the workspace is up to date.
//
// The runner tells by a request that it holds until there is something new: `GET /workspace/sync`
// answers { tag, state: "unknown" | "changed", paths, done, conflict, problem, commit, note }. `paths`
// is null when they are too many to name. Nothing is waited for longer than the deadline: then the
// write goes on, and the agent is told.

import { execFile } from "node:child_process"

import { Pauses, post } from "./runner.js"
import { NOTICEABLE_MS, Waiting } from "./waiting.js"
import { Changes, places, writes } from "./writes.js"

/** Longest that one write waits. */
const DEADLINE_MS = 120_000
/** Between two requests to a runner that does not answer, at first. */
const PAUSE_MS = 50
/** Most paths in one message to the agent. */
const MOST_NAMED = 20
/** Longest that git is asked whether the workspace has a commit by now. */
const LOOK_MS = 5_000

/**
 * @typedef {object} Told
 * @property {string} tag
 * @property {"unknown" | "changed"} state
 * @property {string[] | null} paths
 * @property {boolean} done
 * @property {string[] | null} conflict
 * @property {string | null} problem
 * @property {string | null} commit
 * @property {string | null} [note] what else the agent has to know
 */

export class Gate {
  /**
   * @param {object} options
   * @param {string} options.gateway
   * @param {string} options.workspace
   * @param {number} [options.deadline]
   * @param {AbortSignal} [options.signal] ends the requests
   */
  constructor({ gateway, workspace, deadline = DEADLINE_MS, signal }) {
    this.gateway = gateway
    this.workspace = workspace
    this.deadline = deadline
    this.signal = signal
    /** @type {Changes | undefined} known once the runner has told */
    this.changes = undefined
    this.done = false
    /** Whether the workspace is up to date, or will not be. */
    this.settled = false
    /** @type {string | undefined} what is to be said to the agent of how far the workspace is */
    this.warning = undefined
    /** @type {string | undefined} what else stays to be said to it */
    this.note = undefined
    /** @type {string | undefined} the commit that the workspace did not come to */
    this.missing = undefined
    /** What the agent has seen of the workspace before it was up to date. */
    this.seen = new Set()
    /** Files that it has seen as they are no more. */
    this.stale = new Set()
    this.waiting = new Waiting()
    /** @type {Map<string, string>} by call */
    this.notes = new Map()
  }

  /** Asks the runner until nothing more can change. */
  async follow() {
    let tag = ""
    const pauses = new Pauses(PAUSE_MS)
    while (!this.signal?.aborted) {
      try {
        const url = `${this.gateway}/workspace/sync?seen=${encodeURIComponent(tag)}`
        const response = await fetch(url, { signal: this.signal ?? null })
        if (response.status === 404) {
          // There is no sync here, as while an image is built.
          return this.take({ tag, state: "changed", paths: [], done: true, conflict: null, problem: null, commit: null })
        }
        if (!response.ok) throw new Error(`status ${response.status}`)
        const told = /** @type {Told} */ (await response.json())
        pauses.reset()
        if (told.tag === tag) continue
        tag = told.tag
        this.take(told)
        if (this.settled) return
      } catch {
        // The runner is away for a moment, or for good: writes have their own deadline.
        await pauses.pass()
      }
    }
  }

  /** @param {Told} told */
  take(told) {
    if (told.state === "changed") this.changes = new Changes(told.paths)
    this.done = told.done
    this.settled = told.done && !told.problem
    if (this.settled && !told.conflict) {
      this.stale = new Set([...this.seen].filter((place) => this.changes?.touches(place)))
    }
    this.warning = warning(told)
    this.note = told.note ?? undefined
    this.missing = (told.conflict && told.commit) || undefined
    this.waiting.look()
  }

  /**
   * What the agent is to know with each request to its model.
   *
   * @returns {Promise<string[]>}
   */
  async said() {
    if (this.missing && (await has(this.workspace, this.missing))) {
      // The agent has merged it.
      this.missing = undefined
      this.warning = undefined
    }
    return [this.warning, this.note].filter((text) => text !== undefined)
  }

  /**
   * To be called before a tool runs; returns when it may.
   *
   * @param {{ tool: string, callID: string, sessionID: string }} call
   * @param {unknown} args
   */
  async before({ tool, callID, sessionID }, args) {
    const wanted = writes(tool, args)
    if (!wanted) return
    const blocked = () => this.blocks(wanted)
    if (blocked()) {
      const began = Date.now()
      const passed = await this.waiting.until(sessionID, this.deadline, () => !blocked())
      const ms = Date.now() - began
      const path = "paths" in wanted ? wanted.paths.join(", ") : ""
      if (ms > NOTICEABLE_MS) this.tell({ ms, tool, path })
      if (!passed) {
        this.notes.set(callID, "The workspace could not be brought up to date in time, so this was done on an older commit. Upstream may have changed the same files.")
      }
    }
    if (!("paths" in wanted)) return
    const stale = wanted.paths.filter((path) => places(this.workspace, path).some((place) => this.stale.has(place)))
    if (stale.length > 0) {
      throw new Error(`Since you read ${stale.join(", ")}, the workspace was brought up to date and it changed. Read it again, then make your change.`)
    }
  }

  /**
   * To be called after a tool ran. Returns what is to be added to its output.
   *
   * @param {{ tool: string, callID: string }} call
   * @param {unknown} args
   * @returns {string | undefined}
   */
  after({ tool, callID }, args) {
    const { filePath } = /** @type {{ filePath?: unknown }} */ (args ?? {})
    if (typeof filePath === "string") {
      for (const place of places(this.workspace, filePath)) {
        if (tool === "read" && !this.settled) this.seen.add(place)
        this.stale.delete(place)
      }
    }
    const note = this.notes.get(callID)
    this.notes.delete(callID)
    return note
  }

  /**
   * @param {{ paths: string[] } | { anything: true }} wanted
   * @returns {boolean}
   */
  blocks(wanted) {
    if (this.done) return false
    const { changes } = this
    if (!changes) return true
    if (!("paths" in wanted)) return !changes.none
    return wanted.paths.some((path) => places(this.workspace, path).some((place) => changes.touches(place)))
  }

  /**
   * Asks the runner for something; answers the status.
   *
   * @param {"pull-request" | "update"} what
   * @param {object} body
   * @returns {Promise<number>}
   */
  async ask(what, body) {
    return (await post(this.gateway, what, body, this.signal)).status
  }

  /**
   * Tells the runner that a call has waited. It is for people to know: nothing depends on its arrival.
   *
   * @param {{ ms: number, tool: string, path: string, cause?: "keeping" | "late" }} wait
   */
  tell(wait) {
    post(this.gateway, "waits", wait, this.signal).catch(() => {})
  }
}

/**
 * Whether what is checked out has a commit.
 *
 * @param {string} workspace
 * @param {string} commit
 * @returns {Promise<boolean>}
 */
function has(workspace, commit) {
  const ask = ["-C", workspace, "merge-base", "--is-ancestor", commit, "HEAD"]
  return new Promise((resolve) => execFile("git", ask, { timeout: LOOK_MS }, (error) => resolve(!error)))
}

/**
 * @param {Told} told
 * @returns {string | undefined}
 */
function warning({ conflict, problem, commit }) {
  if (conflict) {
    const named = conflict.slice(0, MOST_NAMED).join(", ")
    const more = conflict.length > MOST_NAMED ? ` and ${conflict.length - MOST_NAMED} more` : ""
    return `The workspace is on an older commit than the repository: what was written here is in the way of newer changes to ${named || "the same files"}${more}. The newer commit ${commit ?? ""} is here already; merge it when your own work is committed.`
  }
  if (problem) {
    return `The workspace may be on an older commit than the repository: it could not be brought up to date (${problem}).`
  }
  return undefined
}
