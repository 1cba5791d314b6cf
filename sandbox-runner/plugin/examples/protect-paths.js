// No writes below certain folders.

const PROTECTED = ["infra/", "migrations/"]

/** @type {import("../hooks.d.ts").Hook} */
export default {
  name: "protect-paths",
  required: true,
  beforeTool({ args, writes }) {
    // What a command writes cannot be read from it: one that names a folder may write there.
    const isTouched =
      writes === "anything"
        ? (/** @type {string} */ folder) => JSON.stringify(args).includes(folder)
        : (/** @type {string} */ folder) => writes.some((path) => path.startsWith(folder))
    const folder = PROTECTED.find(isTouched)
    if (folder) return { block: `${folder} is not changed by agents. Say what should change there instead.` }
  },
}
