// The agent's conversations: which session they belong to, and whose prompt they work on. Each prompt
// comes with its author; a sub-agent works for the conversation that started it.

/** @typedef {{ name: string, email: string }} Author */

export class Conversations {
  constructor() {
    /** @type {Map<string, Author>} */
    this.authors = new Map()
    /** @type {Map<string, string>} */
    this.parents = new Map()
    /** @type {Map<string, string>} */
    this.titles = new Map()
  }

  /** @param {{ id: string, parentID?: string, title?: string }} conversation */
  known({ id, parentID, title }) {
    if (parentID) this.parents.set(id, parentID)
    if (title) this.titles.set(id, title)
  }

  /**
   * @param {string} conversation
   * @param {{ metadata?: { author?: { name?: string, email?: string } } }[]} parts
   */
  prompted(conversation, parts) {
    for (const { metadata } of parts) {
      const { name, email } = metadata?.author ?? {}
      if (name && email) this.authors.set(conversation, { name, email })
    }
  }

  /**
   * Whoever prompted last.
   *
   * @param {string | undefined} conversation
   * @returns {Author | undefined}
   */
  author(conversation) {
    return this.lineage(conversation).map((one) => this.authors.get(one)).find((author) => author)
  }

  /**
   * The session: the runner names its conversation so.
   *
   * @param {string} conversation
   * @returns {string}
   */
  session(conversation) {
    const root = this.lineage(conversation).at(-1) ?? conversation
    return this.titles.get(root) ?? root
  }

  /**
   * Whether one conversation is the other, or a sub-agent's under it.
   *
   * @param {string} conversation
   * @param {string} root
   */
  isUnder(conversation, root) {
    return this.lineage(conversation).includes(root)
  }

  /**
   * A conversation, the one that started it, and so on.
   *
   * @param {string | undefined} conversation
   * @returns {string[]}
   */
  lineage(conversation) {
    /** @type {string[]} */
    const lineage = []
    for (let one = conversation; one && !lineage.includes(one); one = this.parents.get(one)) lineage.push(one)
    return lineage
  }
}
