/**
 * Which sessions stand where: by what they need of people, forks beneath what they were forked from.
 * Purely.
 */
import type { PullRequest, SessionId, SessionSummary } from "#ui/protocol.ts";

export const GROUPS = ["Needs you", "Working", "Ready for review", "Done"] as const;
/** The earlier, the more urgent. */
export type Group = (typeof GROUPS)[number];

export function groupOf(session: SessionSummary): Group {
  if (session.state === "archived") return "Done";
  if (session.state === "failed" || session.paused) return "Needs you";
  if (session.state === "warming" || session.state === "working") return "Working";
  const asked = session.pull_requests.filter(isOpen);
  if (asked.some(wantsWork)) return "Needs you";
  if (asked.length > 0) return "Ready for review";
  // What came of it is merged or turned down; without a pull request, the agent waits for an answer.
  return session.pull_requests.length > 0 ? "Done" : "Needs you";
}

const isOpen = ({ state }: PullRequest): boolean => state === "open" || state === "draft";

const wantsWork = ({ review, checks }: PullRequest): boolean => review === "changes_requested" || checks === "failed";

/** A session with its forks, however deep, each with its depth. */
export interface Family {
  readonly group: Group;
  readonly members: readonly Member[];
}

export interface Member {
  readonly session: SessionSummary;
  readonly depth: number;
}

/** Deeper forks are shown no further to the right. */
const DEEPEST = 3;

/** A family stands where the most urgent of its members belongs; the newest change comes first. */
export function families(sessions: readonly SessionSummary[]): readonly Family[] {
  const known = new Set(sessions.map(({ id }) => id));
  const children = new Map<SessionId, SessionSummary[]>();
  const roots: SessionSummary[] = [];
  for (const session of sessions) {
    const parent = session.parent?.session;
    if (parent === undefined || !known.has(parent)) roots.push(session);
    else children.set(parent, [...(children.get(parent) ?? []), session]);
  }
  const descend = (session: SessionSummary, depth: number): Member[] => [
    { session, depth: Math.min(depth, DEEPEST) },
    ...(children.get(session.id) ?? []).toSorted(newestFirst).flatMap((child) => descend(child, depth + 1)),
  ];
  const found = roots.map((root): Family => {
    const members = descend(root, 0);
    const ranks = members.map(({ session }) => GROUPS.indexOf(groupOf(session)));
    return { group: GROUPS[Math.min(...ranks)] ?? "Done", members };
  });
  return found.toSorted((a, b) => lastChange(b) - lastChange(a));
}

const newestFirst = (a: SessionSummary, b: SessionSummary): number => b.updated_at - a.updated_at;

const lastChange = (family: Family): number => Math.max(...family.members.map(({ session }) => session.updated_at));

/** All in the order in which the list shows them. */
export function inOrder(sessions: readonly SessionSummary[]): readonly SessionSummary[] {
  const all = families(sessions);
  return GROUPS.flatMap((group) =>
    all.filter((family) => family.group === group).flatMap(({ members }) => members.map(({ session }) => session)),
  );
}
