/**
 * The HTTP surface, typed. Same origin; changes carry the header that other sites cannot send.
 *
 * Every failure is an `ApiError` whose message is for people.
 */
import type {
  CreateSession,
  CreatedSession,
  EditPrompt,
  ErrorBody,
  Me,
  PromptId,
  RepositoryList,
  SessionId,
  SessionList,
  Ticket,
} from "#ui/protocol.ts";
import { Refused } from "#ui/socket.ts";

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** What an answer without a sign-in leads to; set once by `main.tsx`. */
let signedOut = (): void => undefined;

export function onSignedOut(handler: () => void): void {
  signedOut = handler;
}

export const api = {
  me: () => call<Me>("GET", "/api/me"),
  signOut: () => call<void>("POST", "/auth/logout", {}),
  repositories: () => call<RepositoryList>("GET", "/api/repositories"),
  sessions: (cursor?: string) =>
    call<SessionList>("GET", cursor === undefined ? "/api/sessions" : `/api/sessions?cursor=${encodeURIComponent(cursor)}`),
  createSession: (body: CreateSession) => call<CreatedSession>("POST", "/api/sessions", body),
  archiveSession: (id: SessionId) => call<void>("DELETE", sessionApi(id), {}),
  editPrompt: (id: SessionId, prompt: PromptId, body: EditPrompt) =>
    call<void>("PATCH", `${sessionApi(id)}/prompts/${prompt}`, body),
  cancelPrompt: (id: SessionId, prompt: PromptId) => call<void>("DELETE", `${sessionApi(id)}/prompts/${prompt}`, {}),
  stop: (id: SessionId) => call<void>("POST", `${sessionApi(id)}/stop`, {}),
  async ticket(id: SessionId): Promise<string> {
    try {
      return (await call<Ticket>("POST", `${sessionApi(id)}/ws-ticket`, {})).ticket;
    } catch (error) {
      // Anything else may pass: the network, a restart, too many requests.
      const final = error instanceof ApiError && [400, 401, 403, 404, 410].includes(error.status);
      throw final ? new Refused(error.message) : error;
    }
  },
};

export const socketPath = (id: SessionId): string => `${sessionApi(id)}/ws`;

function sessionApi(id: SessionId): string {
  return `/api/sessions/${id}`;
}

async function call<Answer>(method: string, path: string, body?: object): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        accept: "application/json",
        ...(method !== "GET" && { "content-type": "application/json", "x-requested-with": "hosted-agents" }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, "offline", "The server cannot be reached. Check the connection and try again.");
  }
  const answer = await json(response);
  if (response.ok) return answer as Answer;
  if (response.status === 401) signedOut();
  const { code, message } = isErrorBody(answer)
    ? answer.error
    : { code: "unexpected", message: `The server answered with status ${response.status}. Try again in a moment.` };
  throw new ApiError(response.status, code, message);
}

/** Undefined when the answer is empty or no JSON. */
async function json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return undefined;
  }
}

function isErrorBody(value: unknown): value is ErrorBody {
  if (typeof value !== "object" || value === null || !("error" in value)) return false;
  const { error } = value;
  return typeof error === "object" && error !== null && "message" in error && typeof error.message === "string";
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong.";
}
