// Whose prompt a conversation works on. Each prompt comes with its author; a sub-agent works for
// the author of the conversation that started it.

export class Authors {
  constructor() {
    /** @type {Map<string, { name: string, email: string }>} */
    this.authors = new Map()
    /** @type {Map<string, string>} */
    this.parents = new Map()
  }

  /** @param {{ id: string, parentID?: string }} conversation */
  conversation({ id, parentID }) {
    if (parentID) this.parents.set(id, parentID)
  }

  /**
   * @param {string} conversation
   * @param {{ metadata?: { author?: { name?: string, email?: string } } }[]} parts
   */
  prompt(conversation, parts) {
    for (const { metadata } of parts) {
      const { name, email } = metadata?.author ?? {}
      if (name && email) this.authors.set(conversation, { name, email })
    }
  }

  /**
   * Whether one conversation is the other, or a sub-agent's under it.
   *
   * @param {string} conversation
   * @param {string} root
   */
  isUnder(conversation, root) {
    for (let one = /** @type {string | undefined} */ (conversation); one; one = this.parents.get(one)) {
      if (one === root) return true
    }
    return false
  }

  /** @param {string | undefined} conversation */
  of(conversation) {
    for (let one = conversation; one; one = this.parents.get(one)) {
      const author = this.authors.get(one)
      if (author) return author
    }
    return undefined
  }

  /** @param {string | undefined} conversation */
  environment(conversation) {
    const author = this.of(conversation)
    return author ? { GIT_AUTHOR_NAME: author.name, GIT_AUTHOR_EMAIL: author.email } : {}
  }
}
