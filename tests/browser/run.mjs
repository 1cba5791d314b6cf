// The browser tests. Those of the client run against its development peer (web/tests); with
// BASE_URL set, one more signs in to a running stack and works there (session.mjs).
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const web = fileURLToPath(new URL("../../web", import.meta.url));
const session = fileURLToPath(new URL("./session.mjs", import.meta.url));

function run(command, args, cwd) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

run("npm", ["run", "--silent", "test:browser"], web);
if (process.env.BASE_URL) run(process.execPath, [session], web);
