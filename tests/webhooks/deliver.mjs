// Signs every published example with @octokit/webhooks and delivers it to the Worker whose webhook
// URL and secret are the arguments; says of each what was answered: {"name", "status", "answer"},
// one JSON object a line. With a third argument the signatures are those of that text instead.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Webhooks } from "@octokit/webhooks";

const [url, secret, forged] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const path = require.resolve("@octokit/webhooks-examples/api.github.com/index.json");
const examples = JSON.parse(readFileSync(path, "utf8")).flatMap(({ name, examples }) =>
  examples.map((body, number) => ({ name, body, number })),
);
const webhooks = new Webhooks({ secret });

const deliver = async ({ name, body, number }) => {
  const text = JSON.stringify(body);
  const signature = await webhooks.sign(forged ?? text);
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-github-event": name,
      "x-github-delivery": `octokit-${name}-${number}`,
      "x-hub-signature-256": signature,
    },
    body: text,
  });
  const answer = await response.json();
  console.log(JSON.stringify({ name, status: response.status, answer }));
};

// A few at a time, as GitHub does.
const waiting = [...examples];
const lane = async () => {
  for (let next = waiting.shift(); next; next = waiting.shift()) await deliver(next);
};
await Promise.all(Array.from({ length: 8 }, lane));
