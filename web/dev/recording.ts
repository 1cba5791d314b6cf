/** One run of the main job, as a list of moments: a crate's test fails, the agent mends it. */
import type { StepName } from "../ui/src/protocol.ts";
import type { PlayedSession } from "./played-session.ts";

export interface Moment {
  /** How long it took until this. */
  readonly ms: number;
  play(): void;
}

const DIAGNOSIS = `I'll start with what fails, then read the code behind it.`;

const FOUND = `The failing test is \`prerelease_is_older_than_its_release\`. Two versions that differ only in their pre-release compare as **equal**, because \`cmp\` stops after the patch number:

\`\`\`rust
impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch))
    }
}
\`\`\`

SemVer says in [section 11](https://semver.org/#spec-item-11) that a version with a pre-release is *older* than the same one without. I'll compare the pre-release last.`;

const SUMMARY = `The tests pass again: **23 passed, 0 failed**.

### What was wrong

\`Version::cmp\` ignored the pre-release, so \`1.0.0-alpha\` and \`1.0.0\` were equal and sorting kept whichever came first.

### What I changed

- \`src/version.rs\`: the pre-release is compared after major, minor and patch. No pre-release is newer than any.
- Identifiers compare by the rules of SemVer:

| Identifiers | Compared |
| --- | --- |
| both numeric | as numbers |
| numeric and text | numeric is older |
| both text | by ASCII order |

I left \`PartialEq\` alone: it already looked at every field, which is why only ordering was wrong.`;

const FAILING = `   Compiling semver-lite v0.4.2 (/workspace)
    Finished \u001b[1m\u001b[32mtest\u001b[0m profile [unoptimized + debuginfo] target(s) in 1.31s
     Running unittests src/lib.rs

running 23 tests
test parse::tests::build_metadata_is_kept ... \u001b[32mok\u001b[0m
test parse::tests::leading_zeros_are_refused ... \u001b[32mok\u001b[0m
test version::tests::major_minor_patch_in_order ... \u001b[32mok\u001b[0m
test version::tests::prerelease_is_older_than_its_release ... \u001b[31mFAILED\u001b[0m

failures:

---- version::tests::prerelease_is_older_than_its_release stdout ----
assertion failed: \`left == right\`
  left: Equal
 right: Less
   at src/version.rs:88

test result: \u001b[31mFAILED\u001b[0m. 22 passed; 1 failed; 0 ignored
`;

const PASSING = `   Compiling semver-lite v0.4.2 (/workspace)
    Finished \u001b[1m\u001b[32mtest\u001b[0m profile [unoptimized + debuginfo] target(s) in 1.28s

running 23 tests
.......................
test result: \u001b[32mok\u001b[0m. 23 passed; 0 failed; 0 ignored
`;

const SOURCE = `use std::cmp::Ordering;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
    pub pre: Vec<Identifier>,
}
`;

const BEFORE = `    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch).cmp(&(other.major, other.minor, other.patch))
    }`;

const AFTER = `    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| precedence(&self.pre, &other.pre))
    }`;

/** Sandbox to pull request. The session has a prompt that runs. */
export function mending(session: PlayedSession): Moment[] {
  return [
    ...starting(session),
    ...text(session, DIAGNOSIS),
    ...tool(session, "bash", "cargo test", { command: "cargo test", description: "Runs the tests" }, FAILING, {
      ms: 2_900,
      failure: "exit code 101",
    }),
    ...tool(session, "grep", "search for impl Ord", { pattern: "impl Ord" }, "src/version.rs:41:impl Ord for Version {\n", {
      ms: 60,
    }),
    ...tool(session, "read", "read src/version.rs", { filePath: "/workspace/src/version.rs" }, SOURCE, { ms: 24 }),
    ...text(session, FOUND),
    ...tool(
      session,
      "edit",
      "edit src/version.rs",
      { filePath: "/workspace/src/version.rs", oldString: BEFORE, newString: AFTER },
      "",
      { ms: 31 },
    ),
    ...tool(session, "bash", "cargo test", { command: "cargo test", description: "Runs the tests again" }, PASSING, {
      ms: 2_700,
    }),
    ...text(session, SUMMARY),
    {
      ms: 40,
      play: () => {
        step(session, "push", 640);
        session.append({
          type: "pushed",
          prompt: session.running,
          branch: `agent/${session.summary.id}`,
          commit: "9c41f0e2b7d8a6c5e4f3",
          files: [
            { path: "src/version.rs", additions: 24, deletions: 1 },
            { path: "tests/fixtures/precedence.bin", additions: null, deletions: null },
          ],
        });
        const by = session.log.findLast((event) => event.type === "prompt_queued")?.prompt.author;
        session.endPrompt();
        if (!by) return;
        step(session, "pull_request", 410);
        session.append({
          type: "pull_request_opened",
          prompt: "pmt_1",
          number: 12,
          url: "https://github.com/acme/semver-lite/pull/12",
          title: "Compare pre-releases by SemVer's precedence",
          by: { kind: "user", person: by },
        });
      },
    },
  ];
}

/** A short answer without tools. */
export function answering(session: PlayedSession, words: string): Moment[] {
  return [...text(session, words), { ms: 20, play: () => session.endPrompt() }];
}

export function starting(session: PlayedSession): Moment[] {
  return [
    {
      ms: 4,
      play: () => {
        session.append({ type: "sandbox_starting", sandbox: "sbx_1", epoch: 1 });
        step(session, "claim", 4);
      },
    },
    { ms: 61, play: () => step(session, "restore", 61, "image of 3f2a91c, built 12 min ago") },
    { ms: 118, play: () => step(session, "sync", 118) },
    {
      ms: 342,
      play: () => {
        step(session, "agent_up", 342);
        session.append({
          type: "sandbox_ready",
          sandbox: "sbx_1",
          epoch: 1,
          image: "img_1",
          commit: "3f2a91c0b1d2e3f4",
        });
      },
    },
    { ms: 480, play: () => step(session, "first_token", 480) },
  ];
}

export function text(session: PlayedSession, words: string): Moment[] {
  let part = 0;
  const tokens = words.match(/\s*\S{1,9}|\s+$/g) ?? [];
  return [
    { ms: 30, play: () => (part = session.part({ kind: "text" })) },
    ...tokens.map((token) => ({ ms: 12, play: () => session.grow(part, token) })),
    { ms: 8, play: () => session.endPart(part) },
  ];
}

function tool(
  session: PlayedSession,
  name: string,
  title: string,
  input: object,
  output: string,
  end: { ms: number; failure?: string },
): Moment[] {
  let part = 0;
  const lines = output.match(/.*\n/g) ?? [];
  return [
    { ms: 80, play: () => (part = session.part({ kind: "tool", tool: name, title, input: JSON.stringify(input) })) },
    ...lines.map((line) => ({ ms: end.ms / lines.length, play: () => session.grow(part, line) })),
    {
      ms: lines.length > 0 ? 1 : end.ms,
      play: () =>
        session.endPart(part, end.failure ? { result: "failed", message: end.failure } : { result: "completed" }),
    },
  ];
}

function step(session: PlayedSession, name: StepName, ms: number, detail?: string): void {
  const started_at = session.now - ms;
  session.append({ type: "step", step: { name, started_at, ms, ...(detail && { detail }) } });
}

/** All at once, on the session's own clock. */
export function playNow(session: PlayedSession, moments: readonly Moment[]): void {
  for (const moment of moments) {
    session.tick(moment.ms);
    moment.play();
  }
}

/** As it happened. `stop` ends it between two moments. */
export function playLive(session: PlayedSession, moments: readonly Moment[]): { stop(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const from = (index: number) => {
    const moment = moments[index];
    if (!moment) return;
    timer = setTimeout(() => {
      session.now = Date.now();
      moment.play();
      from(index + 1);
    }, moment.ms);
  };
  from(0);
  return { stop: () => clearTimeout(timer) };
}
