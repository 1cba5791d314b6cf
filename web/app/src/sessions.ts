/**
 * The list of sessions, shared by the pages that show it. What is known stays while it is asked
 * for anew: on navigation, when the window is looked at again, and when the open session changes.
 */
import { createSignal } from "solid-js";

import type { SessionId, SessionSummary } from "#ui/protocol.ts";

import { api, messageOf } from "./api.ts";

const [sessions, setSessions] = createSignal<readonly SessionSummary[] | undefined>();
const [problem, setProblem] = createSignal<string | undefined>();
const [cursor, setCursor] = createSignal<string | undefined>();
const [loadingOlder, setLoadingOlder] = createSignal(false);

export { cursor, loadingOlder, problem, sessions };

/** Only the newest answer counts: an earlier request may be slower. */
let newest = 0;

export async function refreshSessions(): Promise<void> {
  newest += 1;
  const mine = newest;
  try {
    const list = await api.sessions();
    if (mine !== newest) return;
    setSessions(list.sessions);
    setCursor(list.cursor);
    setProblem(undefined);
  } catch (error) {
    if (mine === newest) setProblem(messageOf(error));
  }
}

export async function loadOlder(): Promise<void> {
  const from = cursor();
  if (from === undefined || loadingOlder()) return;
  setLoadingOlder(true);
  try {
    const list = await api.sessions(from);
    const known = new Set(sessions()?.map((session) => session.id));
    setSessions((all = []) => [...all, ...list.sessions.filter((session) => !known.has(session.id))]);
    setCursor(list.cursor);
  } catch (error) {
    setProblem(messageOf(error));
  } finally {
    setLoadingOlder(false);
  }
}

/** For a page that opens before its own connection has told. */
export function knownSession(id: SessionId): SessionSummary | undefined {
  return sessions()?.find((session) => session.id === id);
}

export function forgetSessions(): void {
  newest += 1;
  setSessions(undefined);
  setCursor(undefined);
  setProblem(undefined);
}

export type Group = "Needs you" | "Working" | "Ready for review" | "Archived";

export const GROUPS: readonly Group[] = ["Needs you", "Working", "Ready for review", "Archived"];

export function groupOf(session: SessionSummary): Group {
  switch (session.state) {
    case "warming":
    case "working":
      return "Working";
    case "archived":
      return "Archived";
    case "failed":
      return "Needs you";
    case "idle":
      return session.pull_requests.length > 0 ? "Ready for review" : "Needs you";
  }
}

export function sessionTitle(session: Pick<SessionSummary, "title">): string {
  return session.title || "Untitled session";
}
