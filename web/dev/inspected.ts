/** What the panels beside a mended session show. */
import type { Contact } from "../ui/src/protocol.ts";
import { mendedChanges } from "./changes.ts";
import type { Peer } from "./peer.ts";
import { picture } from "./picture.ts";
import type { PlayedSession } from "./played-session.ts";
import { partsOf } from "./session-parts.ts";

export function inspected(peer: Peer, session: PlayedSession): void {
  const parts = partsOf(session);
  parts.changes = (prompt, scope) => mendedChanges(prompt ?? "pmt_1", scope);
  parts.contacts = contacts(session.now);
  const before = { ...peer.keep("before.png", "image/png", picture(640, 360)), caption: "The list before" };
  const after = { ...peer.keep("after.png", "image/png", picture(640, 360)), caption: "The list after" };
  parts.artifacts = [before, after];
  for (const artifact of parts.artifacts) session.append({ type: "artifact_added", artifact, prompt: "pmt_1" });
  session.append({ type: "changes_kept", prompt: "pmt_1", files: 6, additions: 26, deletions: 4 });
}

function contacts(at: number): Contact[] {
  const contact = (host: string, more: Partial<Contact>): Contact => ({
    host,
    kind: "https",
    verdict: "allowed",
    requests: 1,
    bytes_up: 900,
    bytes_down: 42_000,
    last_at: at,
    ...more,
  });
  return [
    contact("api.anthropic.com", { kind: "model", requests: 14, bytes_up: 812_000, bytes_down: 96_000, cost_microdollars: 412_000 }),
    contact("github.com", { kind: "git", requests: 3, bytes_down: 1_840_000 }),
    contact("static.crates.io", { requests: 21, bytes_down: 6_300_000 }),
    contact("telemetry.example.com", { verdict: "denied", reason: "not in the repository's list", bytes_down: 0 }),
  ];
}
