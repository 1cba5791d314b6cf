/** A peer with sessions in every state, for `npm run dev` and for screenshots. */
import type { SessionState, SessionSummary } from "../ui/src/protocol.ts";
import { ADA, BO, CHIKA, REPOSITORIES } from "./people.ts";
import { inspected } from "./inspected.ts";
import { longSession } from "./long-session.ts";
import { Peer } from "./peer.ts";
import type { PlayedSession } from "./played-session.ts";
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
    pull_requests: [{ number: 481, url: "https://github.com/acme/payments/pull/481", title: "Retry webhooks", branch: "agent/ses_x", state: "open" }],
  });
  session("old", 3_000, {
    ...in_("archived"),
    title: "Remove the unused feature flags",
    repository: "acme/storefront",
    pull_requests: [{ number: 77, url: "https://github.com/acme/storefront/pull/77", title: "Remove flags", branch: "agent/ses_x", state: "open" }],
  });
  const long = session("long", 9_000, { title: "Months of work: ten thousand events" });
  longSession(long, 10_000);
  for (const played of peer.sessions.values()) live(played);
  peer.onSession = live;
  return peer;
}

/** Prompts are answered at the pace of a real agent. */
function live(session: PlayedSession): void {
  session.onPrompt = (prompt) => {
    const first = !session.log.some((event) => event.type === "sandbox_starting");
    const moments = first
      ? mending(session)
      : answering(session, `You said: *${prompt.text}*\n\nThe recording ends here, so there is nothing more to do.`);
    const playing = playLive(session, moments);
    session.onStop = (by) => {
      playing.stop();
      session.now = Date.now();
      session.stop(by);
    };
  };
}
