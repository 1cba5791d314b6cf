// A tool for the agent: shows a file to whoever follows the session. The runner reads it out of the
// sandbox, and says what became of it.

import { post } from "./runner.js"

/** Longer than the runner takes. */
const DEADLINE_MS = 120_000

/**
 * @param {string} gateway
 * @returns {import("../agent.d.ts").Tool}
 */
export const shareFile = (gateway) => ({
  description:
    "Shows a file to the people who follow this session: a screenshot, a chart, a report, a build " +
    "result. Files of the repository that you changed need not be shared: they are in the pull request. " +
    "PNG, JPEG, GIF and WebP pictures are shown in place, other files are offered for download. At most 10 MiB.",
  args: {
    path: { type: "string", description: "The file, in the workspace or in /tmp" },
    caption: { type: "string", description: "What it shows, in a few words; may be empty" },
  },
  async execute({ path, caption }, context) {
    const signals = [AbortSignal.timeout(DEADLINE_MS), ...(context?.abort ? [context.abort] : [])]
    const body = { path: String(path), caption: String(caption ?? "") }
    const response = await post(gateway, "share", body, AbortSignal.any(signals))
    const answer = await response.json().catch(() => ({}))
    if (!response.ok) throw new Error(answer.error?.message ?? "The file could not be shared.")
    return String(answer.message)
  },
})
