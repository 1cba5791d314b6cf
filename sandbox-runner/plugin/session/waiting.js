// Calls that wait for something, each until a deadline, and no longer than their conversation runs.

/** A wait that nobody notices is not told. */
export const NOTICEABLE_MS = 5

export class Waiting {
  constructor() {
    /** @type {Set<{ conversation: string, look: () => void, stop: () => void }>} */
    this.waits = new Set()
  }

  /**
   * Whether it came to hold within the deadline; fails when the conversation is stopped. Whoever
   * changes what it asks calls `look`.
   *
   * @param {string} conversation
   * @param {number} deadline in milliseconds
   * @param {() => boolean} holds
   * @returns {Promise<boolean>}
   */
  until(conversation, deadline, holds) {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        this.waits.delete(wait)
      }
      const wait = {
        conversation,
        look: () => {
          if (!holds()) return
          end()
          resolve(true)
        },
        stop: () => {
          end()
          reject(new Error("This was stopped before it was done."))
        },
      }
      const timer = setTimeout(() => {
        end()
        resolve(false)
      }, deadline)
      this.waits.add(wait)
    })
  }

  /** To be called whenever something may have come to hold. */
  look() {
    for (const { look } of [...this.waits]) look()
  }

  /**
   * Ends the waits of conversations whose run was stopped: what they wait for must not be written.
   *
   * @param {(conversation: string) => boolean} stopped
   */
  stop(stopped) {
    for (const wait of [...this.waits]) {
      if (stopped(wait.conversation)) wait.stop()
    }
  }
}
