// How the parts of the plugin speak to the runner: by the gateway's port, and again after a pause where
// it is away for a moment.

/** Longest pause between two requests. */
const LONGEST_PAUSE_MS = 2_000

/**
 * @param {string} gateway
 * @param {string} what
 * @param {object} body
 * @param {AbortSignal} [signal] ends the request
 * @returns {Promise<Response>}
 */
export const post = (gateway, what, body, signal) =>
  fetch(`${gateway}/workspace/${what}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: signal ?? null,
  })

/** Pauses between requests that are not answered, each twice as long as the one before. */
export class Pauses {
  /** @param {number} first in milliseconds */
  constructor(first) {
    this.first = first
    this.next = first
  }

  async pass() {
    const { next } = this
    this.next = Math.min(next * 2, LONGEST_PAUSE_MS)
    await new Promise((resume) => setTimeout(resume, next))
  }

  /** There was an answer. */
  reset() {
    this.next = this.first
  }
}
