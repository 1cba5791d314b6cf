// Loaded into the agent server. It sets the environment of the commands that the agent runs:
// commits which the agent makes itself are authored by whoever prompted, as the runner's own are
// (each prompt comes with its author), and the folders of settings, data and caches are the user's
// again, not the agent's own.
const authors = new Map()

// The agent's second loader of plugins does not know of OPENCODE_DISABLE_PROJECT_CONFIG: before the
// first answer it imports what a repository has in `.opencode/plugin` and names in its settings.
// Nothing that the server needs is in the working tree, so whatever it imports from there is empty.
const ignoreCodeOf = (directory) =>
  Bun.plugin({
    name: "ignore-code-of-the-repository",
    setup(build) {
      const prefix = directory.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
      build.onLoad({ filter: new RegExp(`^${prefix}/`) }, () => ({ contents: "export default {}", loader: "js" }))
    },
  })

export const Session = async ({ directory }) => (ignoreCodeOf(directory), {
  "chat.message": async (input, output) => {
    const author = output.parts.map((part) => part.metadata?.author).find((one) => one?.name && one?.email)
    if (author) authors.set(input.sessionID, author)
  },
  "shell.env": async (input, output) => {
    const home = process.env.HOME
    output.env.XDG_CONFIG_HOME = `${home}/.config`
    output.env.XDG_DATA_HOME = `${home}/.local/share`
    output.env.XDG_STATE_HOME = `${home}/.local/state`
    output.env.XDG_CACHE_HOME = `${home}/.cache`
    const author = authors.get(input.sessionID)
    if (!author) return
    output.env.GIT_AUTHOR_NAME = author.name
    output.env.GIT_AUTHOR_EMAIL = author.email
  },
})
