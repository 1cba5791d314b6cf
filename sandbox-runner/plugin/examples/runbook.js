// Puts the on-call runbook into the model's instructions, as it is in the workspace.

import { readFile } from "node:fs/promises"
import { join } from "node:path"

const RUNBOOK = "docs/on-call.md"

/** @type {import("../hooks.d.ts").Hook} */
export default {
  name: "runbook",
  async context({ workspace }) {
    const text = await readFile(join(workspace, RUNBOOK), "utf8").catch(() => undefined)
    return text && `The on-call runbook (${RUNBOOK}). Follow it when you work on an incident.\n\n${text}`
  },
}
