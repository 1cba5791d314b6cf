/** A peer with sessions in every state, for `npm run dev` and for screenshots. */
import type { Changes, ChangesScope, SessionState, SessionSummary } from "../ui/src/protocol.ts";
import { mendedChanges } from "./changes.ts";
import { ADA, BO, CHIKA, REPOSITORIES } from "./people.ts";
import { inspected } from "./inspected.ts";
import { longSession } from "./long-session.ts";
import { Peer } from "./peer.ts";
import { furnish } from "./furnishing.ts";
import type { PlayedSession } from "./played-session.ts";
import { partsOf } from "./session-parts.ts";
import { answering, mending, playLive, playNow } from "./recording.ts";

const MINUTE = 60_000;

export function populated(now: number): Peer {
  const peer = new Peer(ADA);
  peer.repositories = REPOSITORIES;
  const session = (id: string, minutesAgo: number, more: Partial<SessionSummary>): PlayedSession =>
    peer.add({
      id: `ses_${id}`,
      repository: "acme/semver-lite",
      branch: "main",
      title: "",
      state: "idle",
      created_by: ADA,
      created_at: now - minutesAgo * MINUTE,
      updated_at: now - minutesAgo * MINUTE,
      pull_requests: [],
      paused: false,
      ...more,
    });
  const in_ = (state: SessionState) => ({ state });

  const mended = session("mended", 14, { title: "The tests fail, find out why and fix it" });
  mended.prompt(ADA, "The tests fail. Find out why and fix it.");
  playNow(mended, mending(mended));
  inspected(peer, mended);

  session("asks", 32, {
    ...in_("idle"),
    title: "Should refunds be allowed after 90 days?",
    repository: "acme/payments",
    branch: "trunk",
    created_by: BO,
  });
  session("broken", 48, {
    ...in_("failed"),
    title: "Upgrade the storefront to the new router",
    repository: "acme/storefront",
    created_by: CHIKA,
  });
  session("busy", 3, {
    ...in_("working"),
    title: "Cart total is off by one cent when two discounts apply to the same line",
    repository: "acme/storefront",
    created_by: BO,
  });
  session("warm", 1, { ...in_("warming"), title: "Add a dark variant of the button", repository: "acme/design-system" });
  session("reviewed", 190, {
    ...in_("idle"),
    title: "Retry webhooks with backoff and a dead letter queue",
    repository: "acme/payments",
    created_by: CHIKA,
    pull_requests: [
      { number: 481, url: "https://github.com/acme/payments/pull/481", title: "Retry webhooks", branch: "agent/ses_x", state: "open", review: "approved", checks: "passed" },
    ],
  });
  session("retried", 150, {
    title: "Retry webhooks with backoff, but keep the order of each customer",
    repository: "acme/payments",
    created_by: BO,
    parent: { session: "ses_reviewed", prompt: "pmt_1" },
    pull_requests: [
      { number: 484, url: "https://github.com/acme/payments/pull/484", title: "Keep the order", branch: "agent/ses_y", state: "draft" },
    ],
  });
  session("changes", 75, {
    title: "Show the delivery date before the address is known",
    repository: "acme/storefront",
    pull_requests: [
      { number: 902, url: "https://github.com/acme/storefront/pull/902", title: "Show the delivery date", branch: "agent/ses_z", state: "open", review: "changes_requested", checks: "passed" },
    ],
  });
  session("shipped", 1_500, {
    title: "Warn when a coupon is about to expire",
    repository: "acme/storefront",
    created_by: CHIKA,
    pull_requests: [
      { number: 898, url: "https://github.com/acme/storefront/pull/898", title: "Warn about coupons", branch: "agent/ses_w", state: "merged", review: "approved", checks: "passed" },
    ],
  });
  session("old", 3_000, {
    ...in_("archived"),
    title: "Remove the unused feature flags",
    repository: "acme/storefront",
    pull_requests: [{ number: 77, url: "https://github.com/acme/storefront/pull/77", title: "Remove flags", branch: "agent/ses_x", state: "closed" }],
  });
  const long = session("long", 9_000, { title: "Months of work: ten thousand events" });
  longSession(long, 10_000);
  for (const played of peer.sessions.values()) live(peer, played);
  peer.onSession = (played) => live(peer, played);

  for (const { summary } of peer.sessions.values()) {
    // Whatever its short log says.
    if (summary.id === "ses_busy") summary.state = "working";
    if (summary.updated_at < now - 40 * MINUTE) peer.lobby.see(summary, ADA);
  }
  furnish(peer.registry, now);
  return peer;
}

/** Prompts are answered at the pace of a real agent. */
function live(peer: Peer, session: PlayedSession): void {
  warm(session);
  session.onPrompt = (prompt) => {
    const first = !session.log.some((event) => event.type === "sandbox_starting");
    const moments = first
      ? mending(session)
      : answering(session, `You said: *${prompt.text}*\n\nThe recording ends here, so there is nothing more to do.`);
    const playing = playLive(session, first ? [...moments, { ms: 900, play: () => inspected(peer, session) }] : moments);
    if (first) partsOf(session).changesNow = (scope) => changesSoFar(session, scope);
    session.onStop = (by) => {
      playing.stop();
      session.now = Date.now();
      session.stop(by);
    };
  };
}

/** Nothing before the first edit. */
function changesSoFar(session: PlayedSession, scope: ChangesScope): Changes {
  const edits = session.log.flatMap((event) =>
    event.type === "part_started" && event.body.kind === "tool" && event.body.tool === "edit" ? [event.part] : [],
  );
  const edited = session.log.some((event) => event.type === "part_finished" && edits.includes(event.part));
  const prompt = session.running;
  return edited ? mendedChanges(prompt, scope) : { prompt, scope, files: [], omitted: 0 };
}

/** A draft's sandbox comes up while its prompt is written. */
function warm(session: PlayedSession): void {
  const after = (ms: number, play: () => void) =>
    setTimeout(() => {
      session.now = Date.now();
      play();
    }, ms).unref();
  if (session.summary.state !== "warming" || session.log.length > 1) return;
  const sandbox = { sandbox: "sbx_1", epoch: 1 };
  after(150, () => session.append({ type: "sandbox_starting", ...sandbox }));
  after(320, () => {
    session.append({ type: "step", step: { name: "claim", started_at: session.now - 40, ms: 40, detail: "from the pool" } });
  });
  after(700, () => session.append({ type: "sandbox_ready", ...sandbox, image: "img_1", commit: "4f1c2d9" }));
}
