// Secrets that the repository wants in its sandboxes, as variables of the programs that the agent
// runs. They are asked for each time, since they change; the gateway keeps them for minutes. Nothing
// of them is written anywhere here.

/** Longest that a program waits for its variables. */
const DEADLINE_MS = 5_000

export class Variables {
  /**
   * @param {{ gateway: string, deadline?: number, log?: (message: string) => void }} options
   */
  constructor({ gateway, deadline = DEADLINE_MS, log = console.error }) {
    this.url = `${gateway}/workspace/variables`
    this.deadline = deadline
    this.log = log
    /** @type {Record<string, string>} */
    this.last = {}
  }

  /**
   * Those of this moment, or else the last ones that were known.
   *
   * @returns {Promise<Record<string, string>>}
   */
  async get() {
    try {
      const answer = await fetch(this.url, { signal: AbortSignal.timeout(this.deadline) })
      if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`)
      this.last = /** @type {Record<string, string>} */ (await answer.json())
    } catch (error) {
      this.log(`the repository's variables cannot be had: ${error instanceof Error ? error.message : error}`)
    }
    return this.last
  }
}
