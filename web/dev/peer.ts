/**
 * A stand-in for the Worker, for looking at the client and for its browser tests: real HTTP and
 * WebSockets, sessions that are played. It insists on the rules that the Worker insists on.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize, resolve } from "node:path";
import type { Duplex } from "node:stream";

import { WebSocketServer, type WebSocket } from "ws";

import type {
  Artifact,
  ClientFrame,
  CreatePrompt,
  CreateSession,
  Person,
  RepositorySummary,
  SessionSummary,
} from "../ui/src/protocol.ts";
import { poolFigures, statistics } from "./figures.ts";
import { Lobby } from "./lobby.ts";
import { Refusal, reply } from "./refusal.ts";
import { Registry } from "./registry.ts";
import { avatar } from "./people.ts";
import { PlayedSession, type Viewer } from "./played-session.ts";
import { PlayedTerminal } from "./played-terminal.ts";
import { answerPart, partsOf } from "./session-parts.ts";

/** In place of a session's identifier. */
const LOBBY = "lobby";

const COOKIE = "peer-session";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

export class Peer {
  /** In the order in which they were made. */
  readonly sessions = new Map<string, PlayedSession>();
  repositories: RepositorySummary[] = [];
  readonly registry = new Registry(() => this.repositories);
  readonly lobby = new Lobby();
  /** Who the next sign-in signs in. */
  next: Person;
  onSession: (session: PlayedSession, wanted: CreateSession) => void = () => undefined;
  /** Answers every API request with this status while set. */
  failing: number | undefined;

  /** Refuses every file with these words while set. */
  refusing: string | undefined;

  readonly #files = new Map<string, { artifact: Artifact; bytes: Buffer }>();
  readonly #people = new Map<string, Person>();
  readonly #tickets = new Map<string, { person: Person; session: string }>();
  readonly #created = new Map<string, string>();
  /** Sessions without a prompt, which no list has. */
  readonly #drafts = new Set<string>();
  readonly #sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => ["v1.agent", "v1.lobby"].find((known) => offered.has(known)) ?? false,
  });

  readonly #terminals = new Map<string, PlayedTerminal>();
  readonly #terminalSockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has("v1.terminal") ? "v1.terminal" : false),
  });

  constructor(person: Person) {
    this.next = person;
  }

  add(summary: SessionSummary): PlayedSession {
    const session = new PlayedSession(summary, (ids) => this.#attached(ids));
    this.sessions.set(summary.id, session);
    session.onChange = () => {
      if (session.log.some(({ type }) => type === "prompt_queued")) this.#drafts.delete(summary.id);
      if (!this.#drafts.has(summary.id)) this.lobby.tell({ type: "session", session: { ...session.summary } });
    };
    return session;
  }

  /** False when it is no request for the API. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const url = new URL(request.url ?? "/", "http://peer");
    if (url.pathname.startsWith("/avatars/")) {
      response.writeHead(200, { "content-type": "image/svg+xml" }).end(avatar(url.pathname.slice(9, -4)));
      return true;
    }
    if (!url.pathname.startsWith("/api/") && !url.pathname.startsWith("/auth/")) return false;
    this.#answer(request, response, url).catch((error: unknown) => {
      if (error instanceof Refusal) return reply(response, error.status, errorBody(error.code, error.message));
      return reply(response, 500, errorBody("internal", String(error)));
    });
    return true;
  }

  /** False when it is none of the session's parts. */
  #part(
    method: string,
    id: string,
    rest: string,
    url: URL,
    body: Record<string, unknown>,
    me: Person,
    request: IncomingMessage,
    response: ServerResponse,
  ): boolean {
    const session = this.sessions.get(id);
    if (!session) return false;
    if (method === "POST" && rest === "/terminal") {
      const refused = partsOf(session).terminalRefusal;
      if (refused) throw new Refusal(refused.status, refused.code, refused.message);
      const ticket = randomBytes(16).toString("hex");
      this.#tickets.set(ticket, { person: me, session: `terminal of ${id}` });
      // Another host than the page's, as it is in production.
      const port = request.headers.host?.split(":")[1] ?? "80";
      reply(response, 201, { url: `ws://localhost:${port}/terminals/${id}`, ticket });
      return true;
    }
    const answer = answerPart(session, `${method} ${rest}`, url.searchParams, body, me);
    if (answer) reply(response, answer.status, answer.body);
    return answer !== undefined;
  }

  terminal(id: string): PlayedTerminal {
    const known = this.#terminals.get(id) ?? new PlayedTerminal();
    this.#terminals.set(id, known);
    return known;
  }

  cutTerminals(): void {
    for (const terminal of this.#terminals.values()) terminal.cutAll();
  }

  #terminal(request: IncomingMessage, socket: Duplex, head: Buffer, id: string): void {
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
    const ticket = offered.find((one) => one.startsWith("ticket."))?.slice("ticket.".length) ?? "";
    const entry = this.#tickets.get(ticket);
    this.#tickets.delete(ticket);
    if (entry?.session !== `terminal of ${id}` || request.headers.cookie !== undefined) {
      socket.end("HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n");
      return;
    }
    this.#terminalSockets.handleUpgrade(request, socket, head, (opened) => this.terminal(id).connect(opened, entry.person));
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const terminal = /^\/terminals\/(\w+)$/.exec(new URL(request.url ?? "/", "http://peer").pathname)?.[1];
    if (terminal !== undefined) {
      this.#terminal(request, socket, head, terminal);
      return true;
    }
    const id = /^\/api\/sessions\/(\w+)\/ws$/.exec(new URL(request.url ?? "/", "http://peer").pathname)?.[1];
    if (id === undefined) return this.#upgradeLobby(request, socket, head);
    const entry = this.#redeemed(request);
    const session = this.sessions.get(id);
    if (!session || entry?.session !== id) refuse(socket);
    else this.#sockets.handleUpgrade(request, socket, head, (opened) => follow(opened, session, entry.person));
    return true;
  }

  #upgradeLobby(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    if (request.url !== "/api/lobby/ws") return false;
    const entry = this.#redeemed(request);
    if (entry?.session !== LOBBY) refuse(socket);
    else this.#sockets.handleUpgrade(request, socket, head, (opened) => this.lobby.join(opened, entry.person));
    return true;
  }

  /** What a ticket was for, if it is good; it is good once, and for our own page. */
  #redeemed(request: IncomingMessage): { person: Person; session: string } | undefined {
    const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
    const ticket = offered.find((one) => one.startsWith("ticket."))?.slice("ticket.".length) ?? "";
    const entry = this.#tickets.get(ticket);
    this.#tickets.delete(ticket);
    const sameOrigin = request.headers.origin === `http://${request.headers.host}`;
    return sameOrigin && this.failing === undefined ? entry : undefined;
  }

  async #answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const method = request.method ?? "GET";
    if (this.failing !== undefined) {
      throw new Refusal(this.failing, "unavailable", "The service is being restarted. Try again in a moment.");
    }
    if (url.pathname === "/auth/github/login") {
      const token = randomBytes(16).toString("hex");
      this.#people.set(token, this.next);
      response
        .writeHead(302, {
          location: url.searchParams.get("return_to") ?? "/",
          "set-cookie": `${COOKIE}=${token}; Path=/; HttpOnly; SameSite=Lax`,
        })
        .end();
      return;
    }
    const upload = method === "POST" && /^\/api\/(sessions\/\w+\/)?artifacts$/.test(url.pathname);
    if (method !== "GET") {
      const allowed =
        request.headers["x-requested-with"] === "hosted-agents" &&
        (upload || request.headers["content-type"] === "application/json");
      if (!allowed) throw new Refusal(403, "cross_site", "This request did not come from our own page.");
    }
    const bytes = await read(request);
    const body = upload || bytes.length === 0 ? {} : (JSON.parse(String(bytes)) as Record<string, unknown>);
    const token = new RegExp(`${COOKIE}=(\\w+)`).exec(request.headers.cookie ?? "")?.[1] ?? "";
    const me = this.#people.get(token);
    if (!me) throw new Refusal(401, "not_signed_in", "Sign in first.");
    if (upload) return reply(response, 201, this.#store(url, request.headers["content-type"] ?? "", bytes));
    const file = /^\/api\/sessions\/\w+\/artifacts\/(\w+)$/.exec(url.pathname)?.[1];
    if (method === "GET" && file !== undefined) return this.#file(file, response);
    const [, sessionId, rest = ""] = /^\/api\/sessions\/(\w+)(.*)$/.exec(url.pathname) ?? [];
    if (sessionId !== undefined && this.#part(method, sessionId, rest, url, body, me, request, response)) return;
    if (sessionId !== undefined) return this.#session(method, sessionId, rest, body, me, response);
    if (this.registry.answer(method, url, body, me, response)) return;
    switch (`${method} ${url.pathname}`) {
      case "POST /auth/logout":
        this.#people.delete(token);
        return reply(response, 204);
      case "GET /api/me":
        return reply(response, 200, { person: me, role: "administrator" });
      case "POST /api/lobby/ws-ticket":
        return reply(response, 201, { ticket: this.#ticket(me, LOBBY) });
      case "GET /api/statistics":
        return reply(response, 200, statistics(url.searchParams, this.lobby.people));
      case "GET /api/statistics/pool":
        return reply(response, 200, poolFigures());
      case "GET /api/repositories":
        return reply(response, 200, { repositories: this.repositories });
      case "GET /api/sessions":
        return reply(response, 200, { sessions: this.#list(url.searchParams, me) });
      case "POST /api/sessions":
        return reply(response, 201, this.#create(body as unknown as CreateSession, me));
      default:
        throw new Refusal(404, "not_found", "There is no such address.");
    }
  }

  #list(wanted: URLSearchParams, me: Person): SessionSummary[] {
    const words = (wanted.get("query") ?? "").toLowerCase().split(/\s+/);
    const fits = ({ title, repository }: SessionSummary) =>
      words.every((word) => `${title} ${repository}`.toLowerCase().includes(word));
    return [...this.sessions.values()]
      .map(({ summary }) => summary)
      .filter(({ id }) => !this.#drafts.has(id))
      .filter((summary) => fits(summary) && (wanted.get("mine") !== "true" || summary.created_by.id === me.id))
      .map((summary) => ({ ...summary, unread: this.lobby.isUnread(summary, me) }));
  }

  #ticket(person: Person, session: string): string {
    const ticket = randomBytes(16).toString("hex");
    this.#tickets.set(ticket, { person, session });
    return ticket;
  }

  /** Believes what a file says of itself, as the Worker does not. */
  #store(url: URL, mediaType: string, bytes: Buffer): Artifact {
    if (this.refusing !== undefined) throw new Refusal(413, "artifacts_full", this.refusing);
    return this.keep(url.searchParams.get("name") ?? "file", mediaType, bytes);
  }

  /** A file that was there already. */
  keep(name: string, mediaType: string, bytes: Buffer): Artifact {
    const artifact: Artifact = { id: `art_${this.#files.size + 1}`, name, media_type: mediaType, bytes: bytes.length };
    this.#files.set(artifact.id, { artifact, bytes });
    return artifact;
  }

  #file(id: string, response: ServerResponse): void {
    const found = this.#files.get(id);
    if (!found) throw new Refusal(404, "not_found", "There is no such file.");
    response.writeHead(200, {
      "content-type": found.artifact.media_type,
      "content-security-policy": "sandbox; default-src 'none'",
      "cross-origin-resource-policy": "same-origin",
    });
    response.end(found.bytes);
  }

  #attached(ids: readonly string[] | undefined): Artifact[] {
    return (ids ?? []).map((id) => {
      const found = this.#files.get(id);
      if (!found) throw new Refusal(400, "unknown_attachment", `There is no file ${id} to attach.`);
      return found.artifact;
    });
  }

  #create(wanted: CreateSession, me: Person): { id: string; url: string } {
    const repository = this.repositories.find((known) => known.repository === wanted.repository);
    if (!repository) throw new Refusal(404, "not_found", "There is no such repository, or you cannot see it.");
    const request = wanted.client_request_id ?? randomBytes(8).toString("hex");
    const id = this.#created.get(request) ?? `ses_${randomBytes(8).toString("hex")}`;
    if (!this.#created.has(request)) {
      this.#created.set(request, id);
      const session = this.add({
        id,
        repository: wanted.repository,
        branch: wanted.branch ?? repository.default_branch,
        title: wanted.prompt?.split("\n")[0]?.slice(0, 80) ?? "",
        state: "warming",
        created_by: me,
        created_at: Date.now(),
        updated_at: Date.now(),
        pull_requests: [],
        paused: false,
      });
      if (!wanted.prompt) this.#drafts.add(id);
      this.onSession(session, wanted);
      if (wanted.prompt) session.prompt(me, wanted.prompt, "first", "queue", this.#attached(wanted.attachments));
    }
    return { id, url: `/sessions/${id}` };
  }

  /** A session that goes on from another's prompt. */
  #fork(session: PlayedSession, prompt: string, me: Person): string {
    const id = `ses_${randomBytes(8).toString("hex")}`;
    const now = Date.now();
    const forked = this.add({
      ...session.summary,
      id,
      title: `${session.summary.title} (fork)`,
      state: "idle",
      created_by: me,
      created_at: now,
      updated_at: now,
      pull_requests: [],
      paused: false,
      parent: { session: session.summary.id, prompt },
    });
    this.onSession(forked, { repository: session.summary.repository });
    return id;
  }

  #session(
    method: string,
    id: string,
    rest: string,
    body: Record<string, unknown>,
    me: Person,
    response: ServerResponse,
  ): void {
    const session = this.sessions.get(id);
    if (!session) throw new Refusal(404, "not_found", "There is no such session, or you cannot see its repository.");
    const prompt = /^\/prompts\/(\w+)$/.exec(rest)?.[1];
    if (method === "POST" && rest === "/ws-ticket") {
      return reply(response, 201, { ticket: this.#ticket(me, id) });
    }
    if (method === "GET" && rest === "") return reply(response, 200, session.summary);
    if (method === "PATCH" && rest === "") {
      session.append({ type: "session_titled", title: String(body["title"]) });
      return reply(response, 204);
    }
    if (method === "PUT" && rest === "/seen") {
      this.lobby.see(session.summary, me);
      return reply(response, 204);
    }
    if (method === "GET" && rest === "/artifacts") {
      return reply(response, 200, { artifacts: [...this.#files.values()].map(({ artifact }) => artifact) });
    }
    if (method === "POST" && rest === "/prompts") {
      const wanted = body as unknown as CreatePrompt;
      const attached = this.#attached(wanted.attachments);
      const made = session.prompt(me, wanted.text, wanted.client_request_id, wanted.mode, attached);
      return reply(response, 201, { id: made });
    }
    if (method === "POST" && rest === "/stop") {
      if (!session.busy) throw new Refusal(409, "nothing_runs", "Nothing is running.");
      session.onStop(me);
      return reply(response, 204);
    }
    if (method === "POST" && rest === "/fork") {
      const forked = this.#fork(session, String(body["prompt"]), me);
      return reply(response, 201, { id: forked, url: `/sessions/${forked}` });
    }
    if (method === "PUT" && rest === "/queue") {
      if (session.reorder(body["order"] as string[], me)) return reply(response, 204);
      throw new Refusal(409, "not_waiting", "These are not the prompts that wait.");
    }
    if (method === "POST" && rest === "/queue/resume") {
      session.resume(me);
      return reply(response, 204);
    }
    if (method === "POST" && rest === "/queue/clear") {
      session.clear(me);
      return reply(response, 204);
    }
    const inserted = /^\/prompts\/(\w+)\/insert$/.exec(rest)?.[1];
    if (method === "POST" && inserted !== undefined && session.insert(inserted)) return reply(response, 204);
    if (method === "DELETE" && rest === "") {
      session.append({ type: "session_archived", by: me });
      return reply(response, 204);
    }
    if (method === "PATCH" && prompt !== undefined && session.edit(prompt, String(body["text"]), me)) {
      return reply(response, 204);
    }
    if (method === "DELETE" && prompt !== undefined && session.cancel(prompt, me)) return reply(response, 204);
    if (prompt !== undefined) {
      throw new Refusal(409, "not_waiting", "There is no such prompt in this session's queue: it has started or was cancelled.");
    }
    throw new Refusal(404, "not_found", "There is no such address.");
  }
}

/** The peer and the built client on one port, with the headers that the files get in production. */
export async function serve(peer: Peer, dist: string, port = 0): Promise<{ url: string; server: Server; close(): Promise<void> }> {
  const headers = parseHeaders(await readFile(join(dist, "_headers"), "utf8"));
  const server = createServer((request, response) => {
    if (!peer.handle(request, response)) void file(dist, headers, request, response);
  });
  server.on("upgrade", (request, socket, head) => {
    if (!peer.upgrade(request, socket, head)) socket.destroy();
  });
  await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    close: () =>
      new Promise((done) => {
        peer.lobby.cutAll();
        for (const session of peer.sessions.values()) session.cutAll();
        peer.cutTerminals();
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

function refuse(socket: Duplex): void {
  socket.end("HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n");
}

function follow(socket: WebSocket, session: PlayedSession, person: Person): void {
  const viewer: Viewer = {
    person,
    send: (frame) => socket.send(JSON.stringify(frame)),
    cut: () => socket.terminate(),
  };
  session.connect(viewer);
  socket.on("message", (data) => session.handle(viewer, JSON.parse(String(data)) as ClientFrame));
  socket.on("close", () => session.disconnect(viewer));
}

async function file(dist: string, headers: HeaderRule[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://peer").pathname;
  const wanted = resolve(join(dist, normalize(path)));
  const inside = wanted.startsWith(resolve(dist)) && extname(wanted) in TYPES;
  const found = inside ? await readFile(wanted).catch(() => undefined) : undefined;
  const body = found ?? (await readFile(join(dist, "index.html")));
  const type = found ? TYPES[extname(wanted)] : TYPES[".html"];
  const given = headers.filter((rule) => path.startsWith(rule.prefix)).flatMap((rule) => rule.headers.map(([name, value]): [string, string] => [name, value]));
  const port = request.headers.host?.split(":")[1] ?? "80";
  for (const header of given) {
    // As the Worker does, the policy names the host where terminals are.
    if (header[0] === "Content-Security-Policy" && !header[1].includes("connect-src")) {
      header[1] += `; connect-src 'self' ws://localhost:${port}`;
    }
  }
  response.writeHead(200, { ...Object.fromEntries(given), "content-type": type }).end(body);
}

interface HeaderRule {
  prefix: string;
  headers: [string, string][];
}

/** The `_headers` format, as far as ours uses it. */
function parseHeaders(text: string): HeaderRule[] {
  const rules: HeaderRule[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("/")) rules.push({ prefix: line.replace("*", ""), headers: [] });
    const [, name, value] = /^\s+([\w-]+): (.+)$/.exec(line) ?? [];
    if (name && value) rules.at(-1)?.headers.push([name, value]);
  }
  return rules;
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function errorBody(code: string, message: string): object {
  return { error: { code, message } };
}
