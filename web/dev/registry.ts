/** What the development peer knows of repositories and accounts: images, settings, secrets, tokens. */
import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";

import type {
  ApiToken,
  AuditEntry,
  CreateApiToken,
  CreateEnvironment,
  Environment,
  Image,
  ImageLog,
  Person,
  RepositorySummary,
  RequestImage,
  SecretSummary,
  SetSecret,
  Settings,
  SlackIntegration,
} from "../ui/src/protocol.ts";
import { LogStreams } from "./log-stream.ts";
import { Refusal, reply } from "./refusal.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

interface Shelf {
  images: Image[];
  readonly logs: Map<string, string>;
  settings: Settings;
  environments: Environment[];
  secrets: SecretSummary[];
}

export class Registry {
  models = [
    { model: { provider: "anthropic" as const, name: "claude-sonnet-5" }, label: "Claude Sonnet 5" },
    { model: { provider: "anthropic" as const, name: "claude-opus-5" }, label: "Claude Opus 5" },
    { model: { provider: "openai" as const, name: "gpt-6" }, label: "GPT-6" },
  ];
  /** `commit_email` of whoever set it last. */
  commitEmail: string | undefined;
  slack: SlackIntegration = { connected: false };
  tokens: ApiToken[] = [];
  audit: AuditEntry[] = [];

  readonly logs = new LogStreams();

  readonly #shelves = new Map<string, Shelf>();
  readonly #repositories: () => readonly RepositorySummary[];

  constructor(repositories: () => readonly RepositorySummary[]) {
    this.#repositories = repositories;
  }

  /** What is kept of a repository; made with an image that is there already. */
  shelf(repository: string): Shelf {
    const known = this.#shelves.get(repository);
    if (known) return known;
    const shelf: Shelf = { images: [], logs: new Map(), settings: {}, environments: [], secrets: [] };
    this.#shelves.set(repository, shelf);
    return shelf;
  }

  /** A build under way, whose log grows by `logImage`. */
  startImage(repository: string, wanted: RequestImage, by: Person | undefined): Image {
    const shelf = this.shelf(repository);
    const now = Date.now();
    const image: Image = {
      id: `img_${randomBytes(4).toString("hex")}`,
      base: {
        repository,
        branch: wanted.branch ?? "main",
        ...(wanted.environment !== undefined && { environment: wanted.environment }),
      },
      state: "building",
      current: false,
      reason: wanted.force ? "asked for by a person" : "the branch moved",
      ...(by && { requested_by: by.login }),
      requested_at: now,
      started_at: now,
      commit: "4f1c2d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d",
      runtime: {},
      steps: [],
      bytes: 0,
      log_bytes: 0,
    };
    shelf.images = [image, ...shelf.images];
    shelf.logs.set(image.id, "");
    return image;
  }

  logImage(repository: string, id: string, text: string): void {
    const shelf = this.shelf(repository);
    const log = (shelf.logs.get(id) ?? "") + text;
    shelf.logs.set(id, log);
    this.#change(repository, id, { log_bytes: Buffer.byteLength(log) });
  }

  finishImage(repository: string, id: string, more: Partial<Image>): void {
    const shelf = this.shelf(repository);
    if ((more.state ?? "ready") === "ready") shelf.images = shelf.images.map((image) => ({ ...image, current: false }));
    this.#change(repository, id, { state: "ready", current: true, finished_at: Date.now(), ...more });
  }

  #change(repository: string, id: string, more: Partial<Image>): void {
    const shelf = this.shelf(repository);
    shelf.images = shelf.images.map((image) => (image.id === id ? { ...image, ...more } : image));
    this.logs.changed();
  }

  /** False when it is no address of these. */
  answer(method: string, url: URL, body: Record<string, unknown>, me: Person, response: ServerResponse): boolean {
    const [, repository, rest = ""] = /^\/api\/repositories\/([^/]+\/[^/]+)(.*)$/.exec(url.pathname) ?? [];
    if (repository !== undefined) {
      this.#repository(method, repository, rest, url, body, me, response);
      return true;
    }
    const revoked = /^\/api\/tokens\/(\w+)$/.exec(url.pathname)?.[1];
    if (method === "DELETE" && revoked !== undefined) {
      this.tokens = this.tokens.filter(({ id }) => id !== revoked);
      reply(response, 204);
      return true;
    }
    switch (`${method} ${url.pathname}`) {
      case "GET /api/models":
        reply(response, 200, { models: this.models });
        return true;
      case "GET /api/integrations":
        reply(response, 200, {
          github: { app_slug: "acme-agents", install_url: "https://github.com/apps/acme-agents/installations/new", webhooks: true },
          slack: this.slack,
        });
        return true;
      case "PUT /api/me": {
        const email = body["commit_email"];
        if (email !== undefined && !String(email).endsWith("@acme.test")) {
          throw new Refusal(400, "email_not_verified", "GitHub has not verified this address to be yours");
        }
        this.commitEmail = email === undefined ? undefined : String(email);
        reply(response, 204);
        return true;
      }
      case "DELETE /api/logins":
        reply(response, 204);
        return true;
      case "GET /api/tokens":
        reply(response, 200, { tokens: this.tokens });
        return true;
      case "POST /api/tokens": {
        const wanted = body as unknown as CreateApiToken;
        const now = Date.now();
        const token: ApiToken = {
          id: `tok_${randomBytes(4).toString("hex")}`,
          name: wanted.name,
          scopes: wanted.scopes,
          created_at: now,
          expires_at: now + (wanted.expires_in_days ?? 90) * DAY,
        };
        this.tokens = [...this.tokens, token];
        reply(response, 201, { token, secret: `ha_${randomBytes(24).toString("hex")}` });
        return true;
      }
      case "GET /api/audit":
        reply(response, 200, { entries: this.audit });
        return true;
      default:
        return false;
    }
  }

  #repository(
    method: string,
    repository: string,
    rest: string,
    url: URL,
    body: Record<string, unknown>,
    me: Person,
    response: ServerResponse,
  ): void {
    const summary = this.#repositories().find((known) => known.repository === repository);
    if (!summary) throw new Refusal(404, "not_found", "There is no such repository, or you cannot see it.");
    const shelf = this.shelf(repository);
    const log = /^\/images\/(\w+)\/log$/.exec(rest)?.[1];
    if (method === "GET" && log !== undefined) {
      const offset = Number(url.searchParams.get("offset") ?? 0);
      if (response.req.headers.accept !== "text/event-stream") return reply(response, 200, this.#log(shelf, log, offset));
      return this.logs.follow(response, offset, (from) => this.#log(shelf, log, from));
    }
    const secret = /^\/secrets\/(\w+)$/.exec(rest)?.[1];
    if (method === "PUT" && secret !== undefined) {
      const { scope } = body as unknown as SetSecret;
      const others = shelf.secrets.filter(({ name }) => name !== secret);
      shelf.secrets = [...others, { name: secret, scope, set_by: me, set_at: Date.now() }];
      return reply(response, 204);
    }
    if (method === "DELETE" && secret !== undefined) {
      shelf.secrets = shelf.secrets.filter(({ name }) => name !== secret);
      return reply(response, 204);
    }
    const environment = /^\/environments\/([\w-]+)$/.exec(rest)?.[1];
    if (method === "DELETE" && environment !== undefined) {
      shelf.environments = shelf.environments.filter(({ name }) => name !== environment);
      return reply(response, 204);
    }
    switch (`${method} ${rest}`) {
      case "GET ": {
        const image = shelf.images[0];
        return reply(response, 200, {
          repository,
          default_branch: summary.default_branch,
          settings: shelf.settings,
          ...(image && { image }),
        });
      }
      case "PUT /settings": {
        const settings = body as Settings;
        const wrong = settings.egress?.allow?.find((host) => !/^(\*\.)?[\w-]+(\.[\w-]+)+$/.test(host));
        if (wrong !== undefined) throw new Refusal(400, "bad_settings", `“${wrong}” is no host: write example.com or *.example.com`);
        shelf.settings = settings;
        return reply(response, 204);
      }
      case "GET /branches": {
        const wanted = url.searchParams.get("query") ?? "";
        const all = [summary.default_branch, "next", "release/2.x", "fix/rounding", "chore/dependencies"];
        return reply(response, 200, { branches: all.filter((name) => name.includes(wanted)) });
      }
      case "GET /images":
        return reply(response, 200, { images: shelf.images });
      case "POST /images": {
        const image = this.startImage(repository, body as RequestImage, me);
        return reply(response, 202, { id: image.id, url: `/api/repositories/${repository}/images/${image.id}` });
      }
      case "GET /environments":
        return reply(response, 200, { environments: shelf.environments });
      case "POST /environments": {
        const { name, members = [], ...specification } = body as unknown as CreateEnvironment;
        const made: Environment = {
          status: "building",
          name,
          url: `/api/repositories/${repository}/environments/${name}`,
          runtime: {},
          specification,
          members,
          created_by: me.login,
        };
        shelf.environments = [...shelf.environments.filter((known) => known.name !== name), made];
        return reply(response, 202, made);
      }
      case "GET /secrets":
        return reply(response, 200, { secrets: shelf.secrets });
      default:
        throw new Refusal(404, "not_found", "There is no such address.");
    }
  }

  #log(shelf: Shelf, id: string, offset: number): ImageLog {
    const image = shelf.images.find((known) => known.id === id);
    if (!image) throw new Refusal(404, "not_found", "There is no such image.");
    const bytes = Buffer.from(shelf.logs.get(id) ?? "");
    const complete = image.state !== "building" && image.state !== "requested";
    return { text: bytes.subarray(offset).toString(), next_offset: bytes.length, complete };
  }
}
