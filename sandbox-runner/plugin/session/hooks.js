// Hooks of a deployment and of a repository: see README.md and hooks.d.ts.
//
// They run in the agent's process, so a repository's hooks are its own code like all that the agent
// runs here. Nothing in this sandbox is secret, and hooks are no border of it: they guide the agent.

import { execFile } from "node:child_process"
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { promisify } from "node:util"

const run = promisify(execFile)

/** Where a repository has its hooks. */
const FOLDER = ".agents/hooks/"
/** Longest that one call of a hook may take. */
const DEADLINE_MS = 2_000
/** Longest for git to find a repository's hooks. */
const GIT_MS = 10_000
const MOST_FILES = 32
const LONGEST_FILE = 256 * 1024
const LONGEST_CONTEXT = 16 * 1024

/**
 * @typedef {import("../hooks.d.ts").Hook} Hook
 * @typedef {import("../hooks.d.ts").ToolCall} ToolCall
 */

export class Hooks {
  /**
   * @param {Hook[]} hooks in the order in which they are asked
   * @param {{ deadline?: number, log?: (message: string) => void }} [options]
   */
  constructor(hooks, { deadline = DEADLINE_MS, log = console.error } = {}) {
    this.hooks = hooks
    this.deadline = deadline
    this.log = log
    /** @type {Set<string>} */
    this.told = new Set()
  }

  /**
   * The deployment's hooks, then the repository's as they are in a commit: what the agent writes to
   * them later counts for the next sandbox.
   *
   * @param {{ directory: string | undefined, workspace: string, commit: string, deadline?: number, log?: (message: string) => void }} places
   * @returns {Promise<Hooks>}
   */
  static async load({ directory, workspace, commit, ...options }) {
    const hooks = new Hooks([], options)
    for (const file of await files(directory)) await hooks.take(file, file, await readFile(file, "utf8").catch(() => ""))
    const copies = await mkdtemp(join(tmpdir(), "agent-hooks-"))
    try {
      for (const { name, text } of await committed(workspace, commit)) {
        const copy = join(copies, name.replace(/\.js$/, ".mjs"))
        await writeFile(copy, text)
        await hooks.take(copy, FOLDER + name, text)
      }
    } catch (error) {
      hooks.tell("repository", `the repository's hooks cannot be read: ${message(error)}`)
    } finally {
      await rm(copies, { recursive: true, force: true })
    }
    return hooks
  }

  /**
   * Loads one file. One that cannot be loaded and says that it is required stops every tool.
   *
   * @param {string} path
   * @param {string} name
   * @param {string} text
   */
  async take(path, name, text) {
    try {
      const hook = (await this.within(import(pathToFileURL(path).href))).default
      if (typeof hook !== "object" || hook === null) throw new Error("it has no default export that is an object")
      this.hooks.push(named(hook, name))
    } catch (error) {
      const problem = `the hook ${name} cannot be loaded: ${message(error)}`
      this.tell(name, problem)
      if (/\brequired\s*:\s*true\b/.test(text)) {
        this.hooks.push({ name, required: true, beforeTool: () => ({ block: problem }) })
      }
    }
  }

  /**
   * What the arguments of a call have become. Fails if a hook blocks it.
   *
   * @param {ToolCall} call
   * @returns {Promise<Record<string, unknown>>}
   */
  async before(call) {
    let { args } = call
    for (const hook of this.hooks) {
      let answer
      try {
        answer = await this.within(hook.beforeTool?.({ ...call, args: structuredClone(args) }))
        if (answer?.args !== undefined && (typeof answer.args !== "object" || answer.args === null)) {
          throw new Error("its args are no object")
        }
      } catch (error) {
        const problem = `the hook ${hook.name} failed: ${message(error)}`
        this.tell(`${hook.name} before`, problem)
        if (hook.required) throw new Error(`This was not done, since ${problem}`)
        continue
      }
      if (answer?.block) throw new Error(`Blocked by the hook ${hook.name}: ${answer.block}`)
      if (answer?.args) args = answer.args
    }
    return args
  }

  /**
   * @param {ToolCall} call
   * @param {string} output
   */
  async after(call, output) {
    for (const hook of this.hooks) {
      try {
        await this.within(hook.afterTool?.({ ...call, args: structuredClone(call.args), output }))
      } catch (error) {
        this.tell(`${hook.name} after`, `the hook ${hook.name} failed after a tool: ${message(error)}`)
      }
    }
  }

  /**
   * What is to be said to the model, in the order of the hooks.
   *
   * @param {{ workspace: string }} place
   * @returns {Promise<string[]>}
   */
  async context(place) {
    const texts = this.hooks.map(async (hook) => {
      try {
        const text = await this.within(hook.context?.(place))
        return typeof text === "string" ? text.slice(0, LONGEST_CONTEXT) : ""
      } catch (error) {
        this.tell(`${hook.name} context`, `the hook ${hook.name} gave no context: ${message(error)}`)
        return ""
      }
    })
    return (await Promise.all(texts)).filter((text) => text !== "")
  }

  /**
   * @template T
   * @param {T} answer
   * @returns {Promise<Awaited<T>>}
   */
  async within(answer) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`it took longer than ${this.deadline} ms`)), this.deadline)
    })
    try {
      return /** @type {Awaited<T>} */ (await Promise.race([answer, late]))
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * Once for each place: a hook that always fails would fill the log.
   *
   * @param {string} place
   * @param {string} problem
   */
  tell(place, problem) {
    if (this.told.has(place)) return
    this.told.add(place)
    this.log(`hooks: ${problem}`)
  }
}

/**
 * The paths of a deployment's hooks, by name.
 *
 * @param {string | undefined} directory
 * @returns {Promise<string[]>}
 */
async function files(directory) {
  if (!directory) return []
  const names = await readdir(directory).catch(() => /** @type {string[]} */ ([]))
  const hooks = names.filter((name) => name.endsWith(".js")).sort()
  return hooks.map((name) => join(directory, name))
}

/**
 * A repository's hooks, by name.
 *
 * @param {string} workspace
 * @param {string} commit
 * @returns {Promise<{ name: string, text: string }[]>}
 */
async function committed(workspace, commit) {
  /** @param {string[]} args */
  const git = async (...args) => {
    const { stdout } = await run("git", args, { cwd: workspace, timeout: GIT_MS, maxBuffer: 2 * LONGEST_FILE })
    return stdout
  }
  const listed = await git("ls-tree", "-z", "--name-only", commit, FOLDER).catch(() => "")
  const names = listed.split("\0").map((path) => path.slice(FOLDER.length))
  const hooks = names.filter((name) => /^[\w.-]+\.js$/.test(name)).sort().slice(0, MOST_FILES)
  const texts = hooks.map(async (name) => ({ name, text: await git("cat-file", "blob", `${commit}:${FOLDER}${name}`) }))
  return (await Promise.all(texts)).filter(({ text }) => text.length <= LONGEST_FILE)
}

/**
 * @param {Hook} hook
 * @param {string} name of its file
 * @returns {Hook}
 */
function named(hook, name) {
  // By its prototype, so that a class's methods stay.
  return Object.assign(Object.create(hook), { name: typeof hook.name === "string" && hook.name ? hook.name : name })
}

/**
 * @param {unknown} error
 * @returns {string}
 */
function message(error) {
  return error instanceof Error ? error.message : String(error)
}
