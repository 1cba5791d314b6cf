// Whether a shell command only reads, so that it may run on a workspace that is not up to date yet.
//
// Nothing depends on this for safety: a command wrongly taken for a reader could be overtaken by
// the sync, one wrongly taken for a writer waits. So only what is plainly one of a few programs with
// plain arguments passes, and everything else writes: what is not parsed here, what expands to other
// words than it shows, every redirection into a file.

/**
 * @param {string} command a command line of bash
 * @returns {boolean}
 */
export function isReadOnly(command) {
  const commands = parse(command)
  return commands !== undefined && commands.every(reads)
}

/**
 * @typedef {object} Word
 * @property {string} text without its quotes
 * @property {boolean} globs whether it begins with a pattern, which may become any file's name
 */

/**
 * The simple commands of a line; undefined if it has anything else.
 *
 * @param {string} line
 * @returns {Word[][] | undefined}
 */
function parse(line) {
  /** @type {Word[][]} */
  const commands = []
  /** @type {Word[]} */
  let words = []
  let rest = line
  // What ends a command, and whether another one has to follow.
  let pending = false
  const end = () => {
    if (words.length === 0) return false
    commands.push(words)
    words = []
    return true
  }
  for (;;) {
    rest = rest.replace(/^[ \t]+/, "")
    if (rest === "") {
      if (!end() && pending) return undefined
      return commands.length > 0 ? commands : undefined
    }
    // These are read only wherever they lead.
    const harmless = /^(?:2>&1|(?:[12]|&)?>>?[ \t]*\/dev\/null|2>&-)(?=[ \t\n;|&]|$)/.exec(rest)
    if (harmless) {
      if (words.length === 0) return undefined
      rest = rest.slice(harmless[0].length)
      continue
    }
    const separator = /^(?:&&|\|\||\||;|\n)/.exec(rest)
    if (separator) {
      const more = separator[0] !== ";" && separator[0] !== "\n"
      if (!end() && (more || pending || separator[0] === ";")) return undefined
      pending = more
      rest = rest.slice(separator[0].length)
      continue
    }
    // A file that is read; `<<`, `<(`, `<&` and `<>` are something else.
    const input = /^<(?![<(&>])[ \t]*/.exec(rest)
    if (input) rest = rest.slice(input[0].length)
    const taken = word(rest)
    if (!taken) return undefined
    rest = taken.rest
    if (!input) words.push(taken.word)
    pending = false
  }
}

/**
 * The first word; undefined if the shell would see more in it than a word.
 *
 * @param {string} line
 * @returns {{ word: Word, rest: string } | undefined}
 */
function word(line) {
  let text = ""
  let globs = false
  let at = 0
  while (at < line.length) {
    const character = line.charAt(at)
    if (/[ \t\n;|&]/.test(character)) break
    if (/[<>(){}`#!]/.test(character)) return undefined
    if (character === "\\") {
      const next = line.charAt(at + 1)
      if (next === "" || next === "\n") return undefined
      text += next
      at += 2
    } else if (character === "'") {
      const close = line.indexOf("'", at + 1)
      if (close < 0) return undefined
      text += line.slice(at + 1, close)
      at = close + 1
    } else if (character === '"') {
      const quoted = doubleQuoted(line, at + 1)
      if (!quoted) return undefined
      text += quoted.text
      at = quoted.end
    } else if (character === "$") {
      if (/[^ \t\n]/.test(line.charAt(at + 1))) return undefined
      text += character
      at += 1
    } else {
      if (/[*?[]/.test(character) && text === "") globs = true
      text += character
      at += 1
    }
  }
  return at === 0 ? undefined : { word: { text, globs }, rest: line.slice(at) }
}

/**
 * @param {string} line
 * @param {number} start after the opening quote
 * @returns {{ text: string, end: number } | undefined}
 */
function doubleQuoted(line, start) {
  let text = ""
  for (let at = start; at < line.length; at += 1) {
    const character = line.charAt(at)
    if (character === '"') return { text, end: at + 1 }
    if (character === "`") return undefined
    if (character === "$") {
      // A dollar that stands for nothing, as at the end of a regular expression.
      if (!/["| \t)]/.test(line.charAt(at + 1))) return undefined
      text += character
    } else if (character === "\\") {
      const next = line.charAt(at + 1)
      if (next === "" || next === "\n") return undefined
      text += /["\\$`]/.test(next) ? next : `\\${next}`
      at += 1
    } else {
      text += character
    }
  }
  return undefined
}

/** @type {(words: Word[]) => boolean} */
const anything = () => true

/** Programs that write nothing, whatever their arguments. */
const READERS = [
  "basename", "cat", "cd", "cut", "dirname", "echo", "egrep", "fgrep", "grep", "head", "ls", "nl",
  "pwd", "realpath", "stat", "tail", "tr", "true", "wc", "which",
]

/** @type {Map<string, (words: Word[]) => boolean>} */
const PROGRAMS = new Map([
  ...READERS.map((name) => /** @type {[string, typeof anything]} */ ([name, anything])),
  ["find", (words) => without(words, /^-(?:exec|ok|delete|fprint|fls)/)],
  ["git", (words) => gitReads(words)],
  // It would run a program.
  ["rg", (words) => without(words, /^--(?:pre|hostname-bin)/)],
  ["sed", (words) => sedReads(words)],
  ["sort", (words) => only(words, /^-[bdfghinRrsuVz]+$|^-[kt].+$/)],
  ["uniq", (words) => words.every(({ text }) => /^-[cdiu]+$/.test(text))],
])

/**
 * @param {Word[]} words
 * @returns {boolean}
 */
function reads(words) {
  const [program, ...rest] = words
  if (!program || program.globs) return false
  const check = PROGRAMS.get(program.text)
  return check !== undefined && check(rest)
}

/**
 * No argument that is, or could become, one of these options.
 *
 * @param {Word[]} words
 * @param {RegExp} refused
 */
function without(words, refused) {
  return words.every(({ text, globs }) => !globs && !refused.test(text))
}

/**
 * No option but these.
 *
 * @param {Word[]} words
 * @param {RegExp} allowed
 */
function only(words, allowed) {
  return words.every(({ text, globs }) => !globs && (!text.startsWith("-") || allowed.test(text)))
}

/**
 * `sed -n` with a script that prints lines by their numbers or by a plain pattern: a script can
 * write files and run programs as well.
 *
 * @param {Word[]} words
 */
function sedReads(words) {
  const [quiet, script, ...files] = words
  if (!quiet || !script || !/^-n[Er]?$/.test(quiet.text)) return false
  const place = String.raw`(?:\d+|\$|/[^/\\]*/)`
  const step = String.raw`${place}(?:,(?:${place}|\+\d+))?[p=q]`
  const plain = new RegExp(String.raw`^\s*${step}(?:\s*;\s*${step})*\s*;?\s*$`)
  return plain.test(script.text) && only(files, /^$/)
}

/** @type {Map<string, (words: Word[]) => boolean>} */
const GIT = new Map([
  ...["blame", "describe", "diff", "log", "ls-files", "ls-tree", "rev-parse", "shortlog", "show", "status"].map(
    // They take long options by any beginning that is clear.
    (name) => /** @type {[string, typeof anything]} */ ([
      name,
      (words) => without(words, /^--(?:o(?!neline$)|ext)/),
    ]),
  ),
  [
    "branch",
    (words) => words.length > 0 && words.every(({ text }) => /^(?:--list|--show-current|-a|-r|-vv?|--all|--remotes)$/.test(text)),
  ],
  ["remote", (words) => words.every(({ text }) => text === "-v")],
])

/**
 * @param {Word[]} words
 */
function gitReads(words) {
  const rest = [...words]
  for (let next = rest.shift(); next; next = rest.shift()) {
    if (next.text === "--no-pager" || next.text === "-P") continue
    if (next.text === "-C") {
      rest.shift()
      continue
    }
    const check = next.globs ? undefined : GIT.get(next.text)
    return check !== undefined && check(rest)
  }
  return false
}
