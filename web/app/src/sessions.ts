/**
 * The list of sessions, shared by the pages that show it. What is known stays while it is asked
 * for anew: when the lobby connects, when the window is looked at again, when the filter changes.
 * Between these, the lobby's notices change it in place.
 */
import { createMemo, createSignal } from "solid-js";

import type { LobbyNotice, SessionId, SessionSummary } from "#ui/protocol.ts";

import { api, messageOf } from "./api.ts";
import { inOrder } from "./groups.ts";
import { remember, remembered } from "./storage.ts";

export interface Filter {
  readonly mine: boolean;
  readonly query: string;
}

/** A notice about a session that the filter may or may not let through: the server tells. */
const ASK_AGAIN_MS = 1_000;

const MINE = "sessions:mine";

const [sessions, setSessions] = createSignal<readonly SessionSummary[] | undefined>();
const [problem, setProblem] = createSignal<string | undefined>();
const [cursor, setCursor] = createSignal<string | undefined>();
const [loadingOlder, setLoadingOlder] = createSignal(false);
const [filter, setFilter] = createSignal<Filter>({ mine: remembered(MINE) !== "", query: "" });
const [searching, setSearching] = createSignal(false);

export { cursor, filter, loadingOlder, problem, searching, sessions };

export const ordered = createMemo(() => inOrder(sessions() ?? []));

/** Only the newest answer counts: an earlier request may be slower. */
let newest = 0;
let askingAgain: ReturnType<typeof setTimeout> | undefined;

export async function refreshSessions(): Promise<void> {
  clearTimeout(askingAgain);
  askingAgain = undefined;
  newest += 1;
  const mine = newest;
  try {
    const list = await api.sessions(filter());
    if (mine !== newest) return;
    setSessions(list.sessions);
    setCursor(list.cursor);
    setProblem(undefined);
  } catch (error) {
    if (mine === newest) setProblem(messageOf(error));
  } finally {
    if (mine === newest) setSearching(false);
  }
}

export async function loadOlder(): Promise<void> {
  const from = cursor();
  if (from === undefined || loadingOlder()) return;
  const mine = newest;
  setLoadingOlder(true);
  try {
    const list = await api.sessions({ ...filter(), cursor: from });
    if (mine !== newest) return;
    const known = new Set(sessions()?.map((session) => session.id));
    setSessions((all = []) => [...all, ...list.sessions.filter((session) => !known.has(session.id))]);
    setCursor(list.cursor);
  } catch (error) {
    setProblem(messageOf(error));
  } finally {
    setLoadingOlder(false);
  }
}

export function showOnly(change: Partial<Filter>): void {
  setFilter({ ...filter(), ...change });
  if (change.mine !== undefined) remember(MINE, change.mine ? "yes" : "");
  setSearching(true);
  void refreshSessions();
}

/** `looking`: somebody sees this very session, so that nothing in it is unread. */
export function applyNotice(notice: Extract<LobbyNotice, { type: "session" }>, me: number, looking: boolean): void {
  const { session } = notice;
  const before = knownSession(session.id);
  const news = before === undefined || session.updated_at > before.updated_at;
  const unread = !looking && (news || (before.unread ?? false));
  if (before) {
    setSessions((all) => all?.map((other) => (other.id === session.id ? { ...session, unread } : other)));
  } else if (filter().query === "" && (!filter().mine || session.created_by.id === me)) {
    setSessions((all) => all && [{ ...session, unread }, ...all]);
  } else {
    askingAgain ??= setTimeout(() => void refreshSessions(), ASK_AGAIN_MS);
  }
}

export function markSeen(id: SessionId): void {
  if (!knownSession(id)?.unread) return;
  setSessions((all) => all?.map((other) => (other.id === id ? { ...other, unread: false } : other)));
}

/** For a page that opens before its own connection has told. */
export function knownSession(id: SessionId): SessionSummary | undefined {
  return sessions()?.find((session) => session.id === id);
}

/** The session before or after one in the list, or the first one. */
export function neighbour(id: SessionId | undefined, by: 1 | -1): SessionId | undefined {
  const all = ordered();
  const at = all.findIndex((session) => session.id === id);
  return (at < 0 ? all[0] : all[at + by])?.id;
}

export function forgetSessions(): void {
  newest += 1;
  setSessions(undefined);
  setCursor(undefined);
  setProblem(undefined);
}

export function sessionTitle(session: Pick<SessionSummary, "title">): string {
  return session.title || "Untitled session";
}
