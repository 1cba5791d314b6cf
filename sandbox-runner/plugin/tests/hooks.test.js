import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"

import protectPaths from "../examples/protect-paths.js"
import runbook from "../examples/runbook.js"
import { Hooks } from "../session/hooks.js"

/** @returns {import("../hooks.d.ts").ToolCall} */
const call = (change = {}) => ({ tool: "write", args: { filePath: "a" }, writes: ["a"], session: "ses_1", ...change })

/** @param {import("../hooks.d.ts").Hook[]} hooks */
function hooks(...hooks) {
  /** @type {string[]} */
  const log = []
  return { log, hooks: new Hooks(hooks, { deadline: 50, log: (message) => log.push(message) }) }
}

test("each hook sees the arguments as the one before left them", async () => {
  /** @type {unknown[]} */
  const seen = []
  const one = hooks(
    { name: "first", beforeTool: ({ args }) => ({ args: { ...args, first: true } }) },
    { name: "second", beforeTool: ({ args }) => void seen.push(args) },
    { name: "third", beforeTool: ({ args }) => ({ args: { ...args, third: true } }) },
  )
  assert.deepEqual(await one.hooks.before(call()), { filePath: "a", first: true, third: true })
  assert.deepEqual(seen, [{ filePath: "a", first: true }])
})

test("a call is the agent's own until a hook answers with another", async () => {
  const { hooks: one } = hooks({ name: "careless", beforeTool: ({ args }) => void Object.assign(args, { filePath: "b" }) })
  const given = call()
  assert.equal(await one.before(given), given.args)
  assert.deepEqual(given.args, { filePath: "a" })
})

test("the first hook that blocks ends the call", async () => {
  const { hooks: one } = hooks(
    { name: "guard", beforeTool: () => ({ block: "not here" }) },
    { name: "late", beforeTool: () => assert.fail("it was asked") },
  )
  await assert.rejects(one.before(call()), /Blocked by the hook guard: not here/)
})

test("a hook that fails or hangs stops nothing and is told once", async () => {
  const { hooks: one, log } = hooks(
    { name: "broken", beforeTool: () => { throw new Error("oops") }, afterTool: () => Promise.reject(new Error("oops")), context: () => { throw new Error("oops") } },
    { name: "hanging", beforeTool: () => new Promise(() => {}) },
    { name: "wrong", beforeTool: () => /** @type {any} */ ({ args: "text" }) },
    { name: "good", context: () => "said" },
  )
  for (let times = 0; times < 2; times += 1) {
    assert.deepEqual(await one.before(call()), { filePath: "a" })
    await one.after(call(), "output")
    assert.deepEqual(await one.context({ workspace: "/" }), ["said"])
  }
  assert.equal(log.length, 5, log.join("\n"))
})

test("a required hook that fails stops the tool", async () => {
  const { hooks: one } = hooks({ name: "guard", required: true, beforeTool: () => { throw new Error("oops") } })
  await assert.rejects(one.before(call()), /the hook guard failed: oops/)
})

test("hooks come from the deployment, then from the repository's commit", async () => {
  const root = mkdtempSync(join(tmpdir(), "hooks-test-"))
  try {
    const [directory, workspace] = [join(root, "deployment"), join(root, "repository")]
    mkdirSync(directory)
    mkdirSync(join(workspace, ".agents/hooks"), { recursive: true })
    const hook = (/** @type {string} */ text) => `export default { context: () => ${JSON.stringify(text)} }\n`
    writeFileSync(join(directory, "a.js"), hook("deployment"))
    writeFileSync(join(directory, "notes.txt"), "no hook")
    writeFileSync(join(workspace, ".agents/hooks/b.js"), hook("repository"))
    writeFileSync(join(workspace, ".agents/hooks/broken.js"), "export default {")
    writeFileSync(join(workspace, ".agents/hooks/none.js"), "export const x = 1")
    const git = (/** @type {string[]} */ ...args) => execFileSync("git", ["-c", "user.name=A", "-c", "user.email=a@b", ...args], { cwd: workspace })
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "hooks")
    writeFileSync(join(workspace, ".agents/hooks/b.js"), hook("changed by the agent"))

    /** @type {string[]} */
    const log = []
    const options = { directory, workspace, log: (/** @type {string} */ message) => void log.push(message) }
    const loaded = await Hooks.load({ ...options, commit: "HEAD" })
    assert.deepEqual(await loaded.context({ workspace }), ["deployment", "repository"])
    assert.equal(log.length, 2, log.join("\n"))
    assert.deepEqual(await loaded.before(call()), { filePath: "a" })

    const none = await Hooks.load({ ...options, directory: join(root, "missing"), commit: "no-such-commit" })
    assert.deepEqual(none.hooks, [])

    writeFileSync(join(directory, "guard.js"), "export default { required: true, beforeTool() {")
    const guarded = await Hooks.load({ ...options, commit: "HEAD" })
    await assert.rejects(guarded.before(call()), /guard\.js cannot be loaded/)
  } finally {
    rmSync(root, { recursive: true })
  }
})

test("protected paths are protected from tools and commands", async () => {
  const { hooks: one } = hooks(protectPaths)
  await assert.rejects(one.before(call({ writes: ["infra/main.tf"] })), /infra\/ is not changed by agents/)
  const command = (/** @type {string} */ text) => call({ tool: "bash", args: { command: text }, writes: "anything" })
  await assert.rejects(one.before(command("rm migrations/1.sql")), /migrations\//)
  await one.before(command("make"))
  await one.before(call({ writes: ["src/infra/main.tf"] }))
  await one.before(call({ tool: "read", args: { filePath: "infra/main.tf" }, writes: [] }))
})

test("the runbook is in the context while it is in the workspace", async () => {
  const workspace = mkdtempSync(join(tmpdir(), "hooks-test-"))
  const { hooks: one } = hooks(runbook)
  assert.deepEqual(await one.context({ workspace }), [])
  mkdirSync(join(workspace, "docs"))
  writeFileSync(join(workspace, "docs/on-call.md"), "Page nobody.")
  const [text] = await one.context({ workspace })
  assert.match(text ?? "", /Page nobody\.$/)
  rmSync(workspace, { recursive: true })
})

test("the hook in the documentation works", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8")
  const [, code] = /```js\n([\s\S]*?)```/.exec(readme) ?? []
  const { default: hook } = await import(`data:text/javascript,${encodeURIComponent(code ?? "")}`)
  const { hooks: one } = hooks(hook)
  await assert.rejects(one.before(call({ tool: "bash", args: { command: "git push --force" } })), /without --force/)
})
