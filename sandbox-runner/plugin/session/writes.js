// What a tool call may write: nothing, certain paths, or anything.

import { realpathSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"

import { isReadOnly } from "./command.js"

/** Tools that write no file. A sub-agent's own calls come by themselves, so `task` is one of them. */
const READERS = new Set([
  "codesearch", "glob", "grep", "invalid", "list", "lsp", "pull_request", "question", "read", "share_file",
  "skill", "task", "todoread", "todowrite", "update", "webfetch", "websearch",
])

/** Tools that write the one file which they name. */
const ONE_FILE = new Set(["edit", "multiedit", "write"])

/** Tools that write the files which their patch names. */
const PATCHES = new Set(["apply_patch", "patch"])

/** What is before a file's name in a patch, with blanks around the name or without. */
const HEADINGS = ["*** Add File:", "*** Update File:", "*** Delete File:", "*** Move to:"]

/**
 * @typedef {{ paths: string[] } | { anything: true }} Writes
 */

/**
 * What a call may write, undefined if nothing. A tool that is not known here, such as one of an MCP
 * server, may write anything.
 *
 * @param {string} tool
 * @param {unknown} args
 * @returns {Writes | undefined}
 */
export function writes(tool, args) {
  if (READERS.has(tool)) return undefined
  const given = /** @type {Record<string, unknown>} */ (args ?? {})
  if (tool === "bash") {
    const { command } = given
    return typeof command === "string" && isReadOnly(command) ? undefined : { anything: true }
  }
  if (ONE_FILE.has(tool)) {
    const { filePath } = given
    return typeof filePath === "string" ? { paths: [filePath] } : { anything: true }
  }
  if (PATCHES.has(tool)) {
    const text = given.patchText ?? given.patch
    const paths = typeof text === "string" ? patched(text) : []
    return paths.length > 0 ? { paths } : { anything: true }
  }
  return { anything: true }
}

/**
 * The files that a patch names: read as the agent's own tool reads it, which must not write to a file
 * that is missed here.
 *
 * @param {string} text
 * @returns {string[]}
 */
function patched(text) {
  return text.split("\n").flatMap((line) => {
    const heading = HEADINGS.find((heading) => line.startsWith(heading))
    const path = line.slice(heading?.length).trim()
    return heading && path ? [path] : []
  })
}

/**
 * A path from the root of the workspace, as it is written and as it is behind symbolic links; of
 * these, those that are inside.
 *
 * @param {string} workspace
 * @param {string} path
 * @returns {string[]}
 */
export function places(workspace, path) {
  const written = resolve(workspace, path)
  const inside = [relative(workspace, written), relative(real(workspace), real(written))]
  return [...new Set(inside)].filter((place) => place !== ".." && !place.startsWith("../"))
}

/**
 * @param {string} path
 * @returns {string}
 */
function real(path) {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(real(parent), path.slice(parent.length))
  }
}

/** Paths that are going to change. */
export class Changes {
  /** @param {string[] | null} paths null stands for all */
  constructor(paths) {
    this.everything = paths === null
    this.paths = new Set(paths)
    this.folders = new Set((paths ?? []).flatMap(above))
  }

  get none() {
    return !this.everything && this.paths.size === 0
  }

  /**
   * Whether a file at this place would be replaced, or be in the way.
   *
   * @param {string} place from the root of the workspace
   */
  touches(place) {
    if (this.everything) return true
    // Git's own files say what is checked out.
    if (place === "" || place === ".git" || place.startsWith(".git/")) return !this.none
    return this.paths.has(place) || this.folders.has(place) || above(place).some((folder) => this.paths.has(folder))
  }
}

/**
 * @param {string} place
 * @returns {string[]}
 */
function above(place) {
  const parts = place.split("/")
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"))
}
