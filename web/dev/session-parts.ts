/** What the session page asks of the development peer beside the socket. */
import type {
  Artifact,
  Changes,
  ChangesScope,
  Contact,
  Person,
  PromptId,
  WishPullRequest,
} from "../ui/src/protocol.ts";
import type { PlayedSession } from "./played-session.ts";

const MAX_PAGE = 500;

/** What a session has besides its log; a test sets what it needs. */
export class SessionParts {
  /** Of the newest prompt, or of the one that is asked for. */
  changes: ((prompt: PromptId | undefined, scope: ChangesScope) => Changes) | undefined;
  /** As the files are while a prompt runs; undefined while the runner cannot tell. */
  changesNow: ((scope: ChangesScope) => Changes | undefined) | undefined;
  /** How often they were asked for. */
  looks = 0;
  contacts: Contact[] = [];
  artifacts: Artifact[] = [];
  /** Why there is no terminal, while there is none. */
  terminalRefusal: { status: number; code: string; message: string } | undefined;
}

const parts = new WeakMap<PlayedSession, SessionParts>();

export function partsOf(session: PlayedSession): SessionParts {
  const known = parts.get(session) ?? new SessionParts();
  parts.set(session, known);
  return known;
}

export interface Answer {
  readonly status: number;
  readonly body?: object;
}

/** Undefined when it asks for something else. */
export function answerPart(
  session: PlayedSession,
  asked: string,
  query: URLSearchParams,
  body: Record<string, unknown>,
  me: Person,
): Answer | undefined {
  const own = partsOf(session);
  switch (asked) {
    case "GET /events":
      return events(session, query);
    case "GET /diff": {
      const scope = query.get("scope") === "prompt" ? "prompt" : "session";
      const prompt = query.get("prompt") ?? undefined;
      if (query.get("live") === "true") {
        own.looks += 1;
        const now = session.busy && prompt === undefined ? own.changesNow?.(scope) : undefined;
        if (now) return { status: 200, body: now };
      }
      if (!own.changes) return refusal(404, "no_changes", "No changes have been kept yet: no prompt has ended.");
      return { status: 200, body: own.changes(prompt, scope) };
    }
    case "GET /contacts":
      return { status: 200, body: { contacts: own.contacts } };
    case "GET /artifacts":
      return { status: 200, body: { artifacts: own.artifacts } };
    case "POST /pull-requests":
      return opened(session, body, me);
    default: {
      const number = /^PATCH \/pull-requests\/(\d+)$/.exec(asked)?.[1];
      return number === undefined ? undefined : changed(session, Number(number), body, me);
    }
  }
}

export function refusal(status: number, code: string, message: string): Answer {
  return { status, body: { error: { code, message } } };
}

function events(session: PlayedSession, query: URLSearchParams): Answer {
  const limit = Number(query.get("limit") ?? MAX_PAGE);
  if (!(limit >= 1 && limit <= MAX_PAGE)) return refusal(400, "malformed", `a page has 1 to ${MAX_PAGE} events`);
  const { log } = session;
  const before = query.get("before");
  const since = Number(query.get("since") ?? 0);
  const end = before === null ? Math.min(log.length, since + limit) : Math.min(log.length, Number(before) - 1);
  const from = before === null ? since : Math.max(0, end - limit);
  return { status: 200, body: { events: log.slice(from, end), head_seq: log.length } };
}

function opened(session: PlayedSession, wish: WishPullRequest, me: Person): Answer {
  const number = 100 + session.summary.pull_requests.length;
  const last = session.log.findLast((event) => event.type === "prompt_started");
  session.append({
    type: "pull_request_opened",
    prompt: last?.type === "prompt_started" ? last.prompt : "pmt_1",
    number,
    url: `https://github.com/${session.summary.repository}/pull/${number}`,
    title: wish.title ?? session.summary.title,
    by: { kind: "user", person: me },
  });
  if (wish.draft) session.append({ type: "pull_request_changed", number, state: "draft", by: me.login });
  return { status: 202 };
}

function changed(session: PlayedSession, number: number, body: Record<string, unknown>, me: Person): Answer {
  const pull = session.summary.pull_requests.find((one) => one.number === number);
  if (!pull) return refusal(404, "not_found", "There is no such pull request in this session.");
  if (typeof body["draft"] === "boolean") {
    pull.state = body["draft"] ? "draft" : "open";
    session.append({ type: "pull_request_changed", number, state: pull.state, by: me.login });
  }
  return { status: 204 };
}
