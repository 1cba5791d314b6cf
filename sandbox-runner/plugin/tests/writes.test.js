import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"

import { Changes, places, writes } from "../session/writes.js"

test("a call writes the files that it names, or anything", () => {
  assert.equal(writes("read", { filePath: "a" }), undefined)
  assert.equal(writes("task", { prompt: "x" }), undefined)
  for (const ours of ["pull_request", "share_file", "update"]) {
    assert.equal(writes(ours, { text: "infra/" }), undefined)
  }
  assert.equal(writes("bash", { command: "git status" }), undefined)
  assert.deepEqual(writes("bash", { command: "make" }), { anything: true })
  assert.deepEqual(writes("bash", {}), { anything: true })
  for (const tool of ["edit", "write", "multiedit"]) {
    assert.deepEqual(writes(tool, { filePath: "a" }), { paths: ["a"] })
    assert.deepEqual(writes(tool, {}), { anything: true })
  }
  assert.deepEqual(writes("server_tool", { filePath: "a" }), { anything: true })
  assert.deepEqual(writes("server_tool", undefined), { anything: true })
})

test("a patch writes what its headings name", () => {
  const patchText = "*** Begin Patch\n*** Add File: new/a b.txt\n+x\n*** Update File: old.txt\n*** Move to: moved.txt\n@@\n*** Delete File: gone.txt\n*** End Patch"
  assert.deepEqual(writes("apply_patch", { patchText }), { paths: ["new/a b.txt", "old.txt", "moved.txt", "gone.txt"] })
  assert.deepEqual(writes("patch", { patchText: "?" }), { anything: true })
})

test("a patch is read as leniently as the agent's tool reads it", () => {
  const patchText = "cat <<'EOF'\n*** Begin Patch\r\n*** Add File:a.txt\r\n+x\r\n*** Update File:\t b.txt \n*** Move to:c.txt\n@@\n*** Delete File:d\re.txt\n*** Delete File:\n*** End Patch\nEOF"
  assert.deepEqual(writes("apply_patch", { patchText }), { paths: ["a.txt", "b.txt", "c.txt", "d\re.txt"] })
})

test("a change touches its path, the folders above it and what would be below it", () => {
  const changes = new Changes(["src/a.rs", "b"])
  for (const place of ["src/a.rs", "src", "b", "b/c/d", ".git/config"]) assert.equal(changes.touches(place), true, place)
  for (const place of ["src/b.rs", "sr", "src/a.rs2", "c", ".gitignore"]) assert.equal(changes.touches(place), false, place)
  assert.equal(new Changes([]).touches(".git/config"), false)
  assert.equal(new Changes(null).touches("anything"), true)
})

test("a path counts where it leads", () => {
  const root = mkdtempSync(join(tmpdir(), "writes-test-"))
  const workspace = join(root, "workspace")
  mkdirSync(join(workspace, "real"), { recursive: true })
  symlinkSync("real", join(workspace, "link"))
  symlinkSync("..", join(workspace, "out"))
  assert.deepEqual(places(workspace, "link/new.txt"), ["link/new.txt", "real/new.txt"])
  assert.deepEqual(places(workspace, join(workspace, "./real/../a")), ["a"])
  assert.deepEqual(places(workspace, "out/elsewhere"), ["out/elsewhere"])
  assert.deepEqual(places(workspace, "/etc/passwd"), [])
  assert.deepEqual(places(workspace, "../other"), [])
  rmSync(root, { recursive: true })
})
