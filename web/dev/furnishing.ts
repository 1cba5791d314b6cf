/** What teams have set up over time, for the pages that show it. */
import type { Image } from "../ui/src/protocol.ts";
import { ADA, BO, CHIKA } from "./people.ts";
import type { Registry } from "./registry.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

const LOG = `[sync] fetching refs/heads/main
[sync] 4f1c2d9 Round once, at the end
[runtime] node 22.11.0, python 3.11.2
[packages] libpq-dev 15.8, jq 1.6
[setup] $ npm ci
added 1128 packages in 14s
[build] $ npm run build
vite v8.3.8 building for production...
\u001b[32m✓\u001b[0m 412 modules transformed.
dist/assets/index-BvTqXw1c.js  88.41 kB │ gzip: 30.12 kB
\u001b[32m✓ built in 6.21s\u001b[0m
[tests] $ npm test -- --run
 Test Files  64 passed (64)
      Tests  812 passed (812)
[image] 1.3 GB in 3 layers
`;

const GROWING = `[sync] fetching refs/heads/main
[sync] 91be0aa Show the delivery date earlier
[runtime] node 22.11.0, python 3.11.2
[setup] $ npm ci
`;

export function furnish(registry: Registry, now: number): void {
  const repository = "acme/storefront";
  const shelf = registry.shelf(repository);
  const image = (id: string, minutesAgo: number, more: Partial<Image>): Image => ({
    id: `img_${id}`,
    base: { repository, branch: "main" },
    state: "ready",
    current: false,
    reason: "the branch moved",
    requested_at: now - minutesAgo * MINUTE,
    started_at: now - minutesAgo * MINUTE + 2 * SECOND,
    finished_at: now - minutesAgo * MINUTE + 96 * SECOND,
    commit: "4f1c2d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d",
    runtime: { node: "22.11.0", python: "3.11.2" },
    steps: [
      { name: "npm ci", success: true, ms: 14_200 },
      { name: "npm run build", success: true, ms: 6_900 },
      { name: "npm test -- --run", success: true, ms: 31_400 },
    ],
    bytes: 1_382_000_000,
    log_bytes: LOG.length,
    ...more,
  });
  const { finished_at: _, ...growing } = image("growing", 1, {
    state: "building",
    reason: "asked for by a person",
    requested_by: CHIKA.login,
    commit: "91be0aa4c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6",
    runtime: {},
    steps: [],
    bytes: 0,
  });
  shelf.images = [
    growing,
    image("current", 41, { current: true }),
    image("failed", 74, {
      state: "failed",
      message: "The set-up ended with status 1: npm could not reach registry.example.test, which is not allowed.",
      steps: [{ name: "npm ci", success: false, ms: 4_100 }],
      bytes: 0,
    }),
    image("unchanged", 104, { state: "unchanged", reason: "nothing has changed", steps: [], bytes: 0 }),
  ];
  shelf.logs.set("img_current", LOG);
  shelf.logs.set("img_growing", GROWING);
  shelf.logs.set("img_failed", "[setup] $ npm ci\nnpm error network request to https://registry.example.test failed\n");
  shelf.settings = {
    specification: { runtime: { node: "22", python: "3.11" }, packages: ["libpq-dev", "jq"], setup: "npm ci\nnpm run build" },
    egress: { allow: ["api.stripe.com", "*.acme.test"], defaults: true },
  };
  shelf.environments = [
    {
      status: "ready",
      name: "integration",
      url: "",
      runtime: { node: "22.11.0" },
      specification: { runtime: { node: "22" }, packages: ["postgresql"] },
      members: [],
      created_by: BO.login,
    },
    {
      status: "building",
      name: "node-24",
      url: "",
      runtime: {},
      specification: { runtime: { node: "24" } },
      members: [ADA.login, CHIKA.login],
      created_by: ADA.login,
    },
  ];
  shelf.secrets = [
    {
      name: "NPM_TOKEN",
      scope: { kind: "header", hosts: ["npm.acme.test"], header: "authorization", prefix: "Bearer " },
      set_by: CHIKA,
      set_at: now - 9 * DAY,
    },
    { name: "STRIPE_TEST_KEY", scope: { kind: "sandbox" }, set_by: BO, set_at: now - 2 * DAY },
  ];
  registry.tokens = [
    {
      id: "tok_ci",
      name: "Nightly upgrades",
      scopes: ["read", "write"],
      created_at: now - 20 * DAY,
      expires_at: now + 70 * DAY,
      last_used_at: now - 7 * 60 * MINUTE,
    },
    { id: "tok_board", name: "Team board", scopes: ["read"], created_at: now - 3 * DAY, expires_at: now + 27 * DAY },
  ];
  registry.audit = [
    { at: now - 6 * MINUTE, user: CHIKA.id, login: CHIKA.login, means: "browser", deed: "prompt_stopped", subject: "ses_busy" },
    { at: now - 55 * MINUTE, user: 9, login: "mallory", means: "token", deed: "access_refused", subject: "acme/payments" },
    { at: now - 2 * DAY, user: BO.id, login: BO.login, means: "browser", deed: "secret_set", subject: repository, detail: "STRIPE_TEST_KEY" },
    { at: now - 3 * DAY, user: ADA.id, login: ADA.login, means: "browser", deed: "token_created", subject: "tok_board", detail: "Team board" },
    { at: now - 3 * DAY, user: ADA.id, login: ADA.login, means: "browser", deed: "signed_in", subject: "deployment" },
  ];
}
