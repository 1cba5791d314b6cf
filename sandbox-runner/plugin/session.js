// Loaded into the agent server. It sets the environment of the commands that the agent runs:
// commits which the agent makes itself are authored by whoever prompted, as the runner's own are
// (each prompt comes with its author), and the configuration folder is the user's again.
const authors = new Map()

export const Session = async () => ({
  "chat.message": async (input, output) => {
    const author = output.parts.map((part) => part.metadata?.author).find((one) => one?.name && one?.email)
    if (author) authors.set(input.sessionID, author)
  },
  "shell.env": async (input, output) => {
    output.env.XDG_CONFIG_HOME = `${process.env.HOME}/.config`
    const author = authors.get(input.sessionID)
    if (!author) return
    output.env.GIT_AUTHOR_NAME = author.name
    output.env.GIT_AUTHOR_EMAIL = author.email
  },
})
