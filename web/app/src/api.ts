/**
 * The HTTP surface, typed. Same origin; changes carry the header that other sites cannot send.
 *
 * Every failure is an `ApiError` whose message is for people.
 */
import type {
  ApiTokenList,
  Artifact,
  ArtifactId,
  ArtifactList,
  AuditPage,
  BranchList,
  CreateApiToken,
  CreateEnvironment,
  CreatePrompt,
  CreateSession,
  CreatedApiToken,
  CreatedPrompt,
  CreatedSession,
  EditPrompt,
  EnvironmentList,
  ErrorBody,
  ForkSession,
  ImageId,
  ImageList,
  Integrations,
  Me,
  ModelList,
  PoolFigures,
  PromptId,
  ReorderQueue,
  Repository,
  RepositoryDetail,
  RepositoryList,
  RenameSession,
  RequestImage,
  RequestedImage,
  SecretList,
  SessionId,
  SessionList,
  SessionSummary,
  SetMe,
  SetSecret,
  Settings,
  Statistics,
  Ticket,
} from "#ui/protocol.ts";
import { Refused } from "#ui/socket.ts";
import type { Send } from "#ui/uploads.ts";

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** What browsers send to its end when the page goes away: 64 KiB, and a unit is up to three bytes. */
const LONGEST_KEPT_ALIVE = 20_000;

/** What an answer without a sign-in leads to; set once by `main.tsx`. */
let signedOut = (): void => undefined;

export function onSignedOut(handler: () => void): void {
  signedOut = handler;
}

export const api = {
  me: () => call<Me>("GET", "/api/me"),
  setMe: (body: SetMe) => call<void>("PUT", "/api/me", body),
  signOutEverywhere: () => call<void>("DELETE", "/api/logins", {}),
  signOut: () => call<void>("POST", "/auth/logout", {}),
  repositories: () => call<RepositoryList>("GET", "/api/repositories"),
  repository: (repository: Repository) => call<RepositoryDetail>("GET", repositoryApi(repository)),
  setSettings: (repository: Repository, body: Settings) =>
    call<void>("PUT", `${repositoryApi(repository)}/settings`, body),
  branches: (repository: Repository, text: string) =>
    call<BranchList>("GET", `${repositoryApi(repository)}/branches${query({ query: text })}`),
  images: (repository: Repository) => call<ImageList>("GET", `${repositoryApi(repository)}/images`),
  requestImage: (repository: Repository, body: RequestImage) =>
    call<RequestedImage>("POST", `${repositoryApi(repository)}/images`, body),
  environments: (repository: Repository) => call<EnvironmentList>("GET", `${repositoryApi(repository)}/environments`),
  createEnvironment: (repository: Repository, body: CreateEnvironment) =>
    call<void>("POST", `${repositoryApi(repository)}/environments`, body),
  removeEnvironment: (repository: Repository, name: string) =>
    call<void>("DELETE", `${repositoryApi(repository)}/environments/${name}`, {}),
  secrets: (repository: Repository) => call<SecretList>("GET", `${repositoryApi(repository)}/secrets`),
  setSecret: (repository: Repository, name: string, body: SetSecret) =>
    call<void>("PUT", `${repositoryApi(repository)}/secrets/${encodeURIComponent(name)}`, body),
  removeSecret: (repository: Repository, name: string) =>
    call<void>("DELETE", `${repositoryApi(repository)}/secrets/${encodeURIComponent(name)}`, {}),
  models: () => call<ModelList>("GET", "/api/models"),
  integrations: () => call<Integrations>("GET", "/api/integrations"),
  tokens: () => call<ApiTokenList>("GET", "/api/tokens"),
  createToken: (body: CreateApiToken) => call<CreatedApiToken>("POST", "/api/tokens", body),
  revokeToken: (id: string) => call<void>("DELETE", `/api/tokens/${id}`, {}),
  audit: (cursor?: string) => call<AuditPage>("GET", `/api/audit${query({ cursor })}`),
  statistics: (days: number, repository?: Repository) =>
    call<Statistics>("GET", `/api/statistics${query({ days: String(days), repository })}`),
  pool: () => call<PoolFigures>("GET", "/api/statistics/pool"),
  sessions: (wanted: { mine?: boolean; query?: string; cursor?: string | undefined } = {}) =>
    call<SessionList>(
      "GET",
      `/api/sessions${query({ mine: wanted.mine ? "true" : undefined, query: wanted.query, cursor: wanted.cursor })}`,
    ),
  session: (id: SessionId) => call<SessionSummary>("GET", sessionApi(id)),
  seen: (id: SessionId) => call<void>("PUT", `${sessionApi(id)}/seen`, {}),
  artifacts: (id: SessionId) => call<ArtifactList>("GET", `${sessionApi(id)}/artifacts`),
  prompt: (id: SessionId, body: CreatePrompt) => call<CreatedPrompt>("POST", `${sessionApi(id)}/prompts`, body),
  createSession: (body: CreateSession) => call<CreatedSession>("POST", "/api/sessions", body),
  renameSession: (id: SessionId, body: RenameSession) => call<void>("PATCH", sessionApi(id), body),
  archiveSession: (id: SessionId) => call<void>("DELETE", sessionApi(id), {}),
  editPrompt: (id: SessionId, prompt: PromptId, body: EditPrompt) =>
    call<void>("PATCH", `${sessionApi(id)}/prompts/${prompt}`, body),
  cancelPrompt: (id: SessionId, prompt: PromptId) => call<void>("DELETE", `${sessionApi(id)}/prompts/${prompt}`, {}),
  insertPrompt: (id: SessionId, prompt: PromptId) => call<void>("POST", `${sessionApi(id)}/prompts/${prompt}/insert`, {}),
  reorderQueue: (id: SessionId, body: ReorderQueue) => call<void>("PUT", `${sessionApi(id)}/queue`, body),
  resumeQueue: (id: SessionId) => call<void>("POST", `${sessionApi(id)}/queue/resume`, {}),
  clearQueue: (id: SessionId) => call<void>("POST", `${sessionApi(id)}/queue/clear`, {}),
  fork: (id: SessionId, body: ForkSession) => call<CreatedSession>("POST", `${sessionApi(id)}/fork`, body),
  /** Without a session: for the first prompt of one to come. */
  upload: (id: SessionId | undefined): Send => {
    const path = id === undefined ? "/api/artifacts" : `${sessionApi(id)}/artifacts`;
    return (file, progress, signal) => upload(path, file, progress, signal);
  },
  stop: (id: SessionId) => call<void>("POST", `${sessionApi(id)}/stop`, {}),
  ticket: (id: SessionId) => ticket(`${sessionApi(id)}/ws-ticket`),
  lobbyTicket: () => ticket("/api/lobby/ws-ticket"),
};

export const LOBBY_PATH = "/api/lobby/ws";

async function ticket(path: string): Promise<string> {
  try {
    return (await call<Ticket>("POST", path, {})).ticket;
  } catch (error) {
    // Anything else may pass: the network, a restart, too many requests.
    const final = error instanceof ApiError && [400, 401, 403, 404, 410].includes(error.status);
    throw final ? new Refused(error.message) : error;
  }
}

function query(wanted: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(wanted).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

const repositoryApi = (repository: Repository): string => `/api/repositories/${repository}`;

export const imageLogPath = (repository: Repository, image: ImageId): string =>
  `${repositoryApi(repository)}/images/${image}/log`;

export const artifactPath = (id: SessionId, artifact: ArtifactId): string => `${sessionApi(id)}/artifacts/${artifact}`;

export const socketPath = (id: SessionId): string => `${sessionApi(id)}/ws`;

export function sessionApi(id: SessionId): string {
  return `/api/sessions/${id}`;
}

export async function call<Answer>(method: string, path: string, body?: object): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        accept: "application/json",
        ...(method !== "GET" && { "content-type": "application/json", "x-requested-with": "hosted-agents" }),
      },
      ...(body && sent(body)),
    });
  } catch {
    throw offline();
  }
  const answer = await json(response);
  if (response.ok) return answer as Answer;
  throw failure(response.status, answer);
}

function sent(body: object): RequestInit {
  const text = JSON.stringify(body);
  return { body: text, keepalive: text.length < LONGEST_KEPT_ALIVE };
}

/** `fetch` does not tell how far a body is on its way. */
function upload(path: string, file: File, progress: (done: number) => void, signal: AbortSignal): Promise<Artifact> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${path}?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("content-type", file.type || "application/octet-stream");
    request.setRequestHeader("x-requested-with", "hosted-agents");
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onload = () => {
      const answer = parsed(request.responseText);
      if (request.status === 201) resolve(answer as Artifact);
      else reject(failure(request.status, answer));
    };
    request.onerror = () => reject(offline());
    signal.addEventListener("abort", () => {
      request.abort();
      reject(offline());
    });
    request.send(file);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function offline(): ApiError {
  return new ApiError(0, "offline", "The server cannot be reached. Check the connection and try again.");
}

function failure(status: number, answer: unknown): ApiError {
  if (status === 401) signedOut();
  const { code, message } = isErrorBody(answer)
    ? answer.error
    : { code: "unexpected", message: `The server answered with status ${status}. Try again in a moment.` };
  return new ApiError(status, code, message);
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
