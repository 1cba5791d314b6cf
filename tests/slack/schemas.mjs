// Checks every call of the Web API that is read from standard input, `[{"method", "body"}]`, against
// the schema of its arguments, made from the types of @slack/web-api. What does not fit is written,
// and the exit status is 1 then.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import Ajv from "ajv";
import { createGenerator } from "ts-json-schema-generator";

const TYPES = {
  "chat.postMessage": "ChatPostMessageArguments",
  "chat.update": "ChatUpdateArguments",
  "chat.postEphemeral": "ChatPostEphemeralArguments",
  "chat.unfurl": "ChatUnfurlArguments",
  "chat.startStream": "ChatStartStreamArguments",
  "chat.appendStream": "ChatAppendStreamArguments",
  "chat.stopStream": "ChatStopStreamArguments",
  "agents.sessions.setStatus": "AgentsSessionsSetStatusArguments",
  "assistant.threads.setStatus": "AssistantThreadsSetStatusArguments",
  "files.completeUploadExternal": "FilesCompleteUploadExternalArguments",
  "reactions.add": "ReactionsAddArguments",
  "views.publish": "ViewsPublishArguments",
  "apps.manifest.validate": "AppsManifestValidateArguments",
};

// A scope and an event that Slack documents for agents, and that the types of a manifest do not list
// in these places yet.
const UNLISTED = ["assistant:write", "agent_session_stopped"];

const entry = createRequire(import.meta.url).resolve("@slack/web-api");
const types = path.join(path.dirname(entry), "types/request/index.d.ts");
const check = new Map();
const checkOf = (method) => {
  if (!check.has(method)) {
    const generator = createGenerator({
      path: types,
      type: TYPES[method],
      skipTypeCheck: true,
      additionalProperties: true,
    });
    const schema = generator.createSchema(TYPES[method]);
    check.set(method, new Ajv({ strict: false, allErrors: false }).compile(schema));
  }
  return check.get(method);
};

let failed = 0;
const seen = new Set();
for (const { method, body } of JSON.parse(readFileSync(0, "utf8"))) {
  if (!(method in TYPES)) continue;
  seen.add(method);
  const fits = checkOf(method);
  if (method === "apps.manifest.validate") {
    const { oauth_config, settings } = body.manifest;
    const listed = (names) => names.filter((name) => !UNLISTED.includes(name));
    oauth_config.scopes.bot = listed(oauth_config.scopes.bot);
    settings.event_subscriptions.bot_events = listed(settings.event_subscriptions.bot_events);
  }
  if (!fits(body)) {
    failed += 1;
    console.log(method, JSON.stringify(body), JSON.stringify(fits.errors));
  }
}
console.log(`checked: ${[...seen].sort().join(" ")}`);
process.exit(failed > 0 || seen.size === 0 ? 1 : 0);
