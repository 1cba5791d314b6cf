// Generated from sandbox-runner/protocol. Do not edit:
// UPDATE_GOLDEN=1 cargo test -p protocol

/**
 * A session: one task, one log, one Durable Object.
 */
export type SessionId = string;

/**
 * One request of one person inside a session.
 */
export type PromptId = string;

/**
 * An isolated process tree with a workspace; a session may go through several.
 */
export type SandboxId = string;

/**
 * A repository at a commit with its caches, from which sandboxes start.
 */
export type ImageId = string;

/**
 * What a sandbox's files were at one moment, from which another sandbox goes on.
 */
export type SnapshotId = string;

/**
 * A file that a person gave to a session or that its agent made.
 */
export type ArtifactId = string;

/**
 * A personal API token; not its secret.
 */
export type TokenId = string;

/**
 * Place of an event in its session's log: 1, 2, 3…, no gaps. 0 is "before the first".
 */
export type Seq = number;

/**
 * A text or tool call inside a session, numbered upwards over all its sandboxes.
 */
export type PartId = number;

/**
 * How many sandboxes the session has had: reports of an earlier one are void.
 */
export type Epoch = number;

/**
 * GitHub's numeric user id: logins can be reassigned, this cannot. A negative one is ours, of
 * somebody who prompts from elsewhere and is linked to nobody at GitHub.
 */
export type UserId = number;

/**
 * Milliseconds since 1970-01-01 UTC.
 */
export type Millis = number;

/**
 * One entry of the log.
 */
export type Event = { seq: Seq, at: Millis, } & ({ "type": "session_created", repository: Repository, branch: string, by: Person, 
/**
 * What it was forked from.
 */
parent?: Parent, } | { "type": "session_titled", title: string, } | { "type": "session_archived", by: Person, } | { "type": "prompt_queued", prompt: Prompt, } | { "type": "prompt_edited", prompt: PromptId, text: string, by: Person, } | { "type": "prompt_cancelled", prompt: PromptId, by: Person, } | { "type": "prompts_reordered", order: Array<PromptId>, by: Person, } | { "type": "queue_paused", by: Person, } | { "type": "queue_resumed", by: Person, } | { "type": "prompt_started", prompt: PromptId, } | { "type": "prompt_resumed", prompt: PromptId, epoch: Epoch, } | { "type": "prompt_finished", prompt: PromptId, outcome: Outcome, } | { "type": "sandbox_starting", sandbox: SandboxId, epoch: Epoch, } | { "type": "sandbox_ready", sandbox: SandboxId, epoch: Epoch, image: ImageId | null, commit: string, } | { "type": "sandbox_lost", sandbox: SandboxId, epoch: Epoch, reason: string, } | { "type": "sandbox_slept", sandbox: SandboxId, epoch: Epoch, snapshot: SnapshotId, } | { "type": "sandbox_released", sandbox: SandboxId, epoch: Epoch, } | { "type": "snapshotted", snapshot: SnapshotId, prompt?: PromptId, } | { "type": "limit_reached", limit: Limit, message: string, } | { "type": "step", step: Step, } | { "type": "part_started", part: PartId, prompt: PromptId, body: PartBody, } | { "type": "part_finished", part: PartId, prompt: PromptId, 
/**
 * UTF-16 code units of the final text, so that a browser can compare with `length`.
 */
length: number, 
/**
 * Absent for whoever received every delta of this part: the deltas are the text.
 */
text?: string, outcome: PartOutcome, } | { "type": "pushed", prompt: PromptId, branch: string, commit: string, files: Array<FileChange>, } | { "type": "pull_request_opened", prompt: PromptId, number: number, url: string, title: string, by: Opener, } | { "type": "pull_request_changed", number: number, state: PullRequestState, 
/**
 * Login at the forge.
 */
by: string, } | { "type": "pull_request_reviewed", number: number, verdict: ReviewVerdict, 
/**
 * Login at the forge.
 */
by: string, } | { "type": "checks_finished", number: number, commit: string, 
/**
 * Names of those that failed.
 */
failed: Array<string>, } | { "type": "artifact_added", artifact: Artifact, prompt?: PromptId, } | { "type": "changes_kept", prompt: PromptId, files: number, additions: number, deletions: number, } | { "type": "update", prompt: PromptId, text: string, } | { "type": "notice", message: string, });

export type Fact = { "type": "session_created", repository: Repository, branch: string, by: Person, 
/**
 * What it was forked from.
 */
parent?: Parent, } | { "type": "session_titled", title: string, } | { "type": "session_archived", by: Person, } | { "type": "prompt_queued", prompt: Prompt, } | { "type": "prompt_edited", prompt: PromptId, text: string, by: Person, } | { "type": "prompt_cancelled", prompt: PromptId, by: Person, } | { "type": "prompts_reordered", order: Array<PromptId>, by: Person, } | { "type": "queue_paused", by: Person, } | { "type": "queue_resumed", by: Person, } | { "type": "prompt_started", prompt: PromptId, } | { "type": "prompt_resumed", prompt: PromptId, epoch: Epoch, } | { "type": "prompt_finished", prompt: PromptId, outcome: Outcome, } | { "type": "sandbox_starting", sandbox: SandboxId, epoch: Epoch, } | { "type": "sandbox_ready", sandbox: SandboxId, epoch: Epoch, image: ImageId | null, commit: string, } | { "type": "sandbox_lost", sandbox: SandboxId, epoch: Epoch, reason: string, } | { "type": "sandbox_slept", sandbox: SandboxId, epoch: Epoch, snapshot: SnapshotId, } | { "type": "sandbox_released", sandbox: SandboxId, epoch: Epoch, } | { "type": "snapshotted", snapshot: SnapshotId, prompt?: PromptId, } | { "type": "limit_reached", limit: Limit, message: string, } | { "type": "step", step: Step, } | { "type": "part_started", part: PartId, prompt: PromptId, body: PartBody, } | { "type": "part_finished", part: PartId, prompt: PromptId, 
/**
 * UTF-16 code units of the final text, so that a browser can compare with `length`.
 */
length: number, 
/**
 * Absent for whoever received every delta of this part: the deltas are the text.
 */
text?: string, outcome: PartOutcome, } | { "type": "pushed", prompt: PromptId, branch: string, commit: string, files: Array<FileChange>, } | { "type": "pull_request_opened", prompt: PromptId, number: number, url: string, title: string, by: Opener, } | { "type": "pull_request_changed", number: number, state: PullRequestState, 
/**
 * Login at the forge.
 */
by: string, } | { "type": "pull_request_reviewed", number: number, verdict: ReviewVerdict, 
/**
 * Login at the forge.
 */
by: string, } | { "type": "checks_finished", number: number, commit: string, 
/**
 * Names of those that failed.
 */
failed: Array<string>, } | { "type": "artifact_added", artifact: Artifact, prompt?: PromptId, } | { "type": "changes_kept", prompt: PromptId, files: number, additions: number, deletions: number, } | { "type": "update", prompt: PromptId, text: string, } | { "type": "notice", message: string, };

/**
 * A repository as people name it.
 */
export type Repository = string;

/**
 * Whoever takes part, as shown and as credited.
 */
export type Person = { id: UserId, login: string, name: string, avatar: string, };

export type Prompt = { id: PromptId, author: Person, text: string, source: Source, mode: Mode, attachments?: Array<Artifact>, 
/**
 * How the author's client recognises it.
 */
client_request_id?: string, };

/**
 * Where a prompt came from.
 */
export type Source = "web" | "api" | "github" | "slack" | "extension" | "editor";

/**
 * When the agent reads a prompt.
 */
export type Mode = "queue" | "insert";

export type Outcome = { "result": "completed" } | { "result": "stopped", by: Person, } | { "result": "failed", message: string, };

/**
 * One bar of the waterfall: what was waited for, from when, how long.
 */
export type Step = { name: StepName, started_at: Millis, ms: number, 
/**
 * Why it took what it took, for people: "no image yet", "built for commit 1a2b3c".
 */
detail?: string, };

export type StepName = "typing" | "claim" | "image" | "restore" | "sync" | "write_wait" | "agent_up" | "first_token" | "run" | "snapshot" | "push" | "pull_request";

export type PartBody = { "kind": "text" } | { "kind": "reasoning" } | { "kind": "tool", tool: string, title: string, 
/**
 * The arguments as JSON text, cut at [`crate::callback::MAX_TEXT`].
 */
input: string, };

export type PartOutcome = { "result": "completed", 
/**
 * A better title than the one the part started with, if there is one.
 */
title?: string, } | { "result": "failed", message: string, };

export type FileChange = { path: string, 
/**
 * Absent for binary files.
 */
additions: number | null, deletions: number | null, };

/**
 * Whose token opened a pull request.
 */
export type Opener = { "kind": "user", person: Person, } | { "kind": "app" };

/**
 * What a sandbox may have only so much of.
 */
export type Limit = "memory" | "processes" | "disk" | "time" | "money";

/**
 * The session and the finished prompt that another session goes on from.
 */
export type Parent = { session: SessionId, prompt: PromptId, };

/**
 * A file beside the log: a picture in a prompt, a screenshot of the agent's.
 */
export type Artifact = { id: ArtifactId, 
/**
 * Without a path.
 */
name: string, media_type: string, bytes: number, 
/**
 * What its maker says that it shows.
 */
caption?: string, };

export type PullRequestState = "draft" | "open" | "merged" | "closed";

export type ReviewVerdict = "approved" | "changes_requested" | "commented";

/**
 * What an image is of: a branch of a repository, in one of the repository's environments.
 */
export type Base = { repository: Repository, branch: string, 
/**
 * Absent for the environment that the repository's own files describe.
 */
environment?: EnvironmentName, };

/**
 * 1 to 40 lower-case letters, digits and dashes, beginning with a letter: safe in a path and a URL.
 */
export type EnvironmentName = string;

/**
 * What an environment is to hold besides the repository.
 */
export type Specification = { 
/**
 * Languages by name and version: `{"python": "3.11"}`.
 */
runtime?: { [key in string]: string }, 
/**
 * Packages of the system's own package manager.
 */
packages?: Array<string>, 
/**
 * A shell script that is run in the workspace instead of the repository's own set-up.
 */
setup?: string, };

/**
 * Something that was run for an image. A failed one does not fail the image.
 */
export type BuildStep = { name: string, success: boolean, ms: number, };

/**
 * A model by the provider that serves it.
 */
export type Model = { provider: Provider, name: string, };

export type Provider = "anthropic" | "openai";

/**
 * The egress policy of a repository.
 */
export type EgressPolicy = { allow?: Array<HostPattern>, 
/**
 * Whether [`DEFAULTS`] are allowed as well.
 */
defaults?: boolean, };

/**
 * One host, or `*.` and the host above all that are meant.
 */
export type HostPattern = string;

export type Contact = { 
/**
 * As it was asked for. [`OTHERS`] stands for what came after too many different ones.
 */
host: string, kind: ContactKind, verdict: Verdict, 
/**
 * Why it was denied or failed, for people.
 */
reason?: string, 
/**
 * Requests where the gateway sees them, else connections or look-ups.
 */
requests: number, 
/**
 * What the sandbox sent.
 */
bytes_up: number, bytes_down: number, 
/**
 * Of model calls.
 */
tokens?: Tokens, 
/**
 * In millionths of a dollar. Absent when no price is known.
 */
cost_microdollars?: number, last_at: Millis, };

export type ContactKind = "model" | "git" | "https" | "http" | "name";

export type Verdict = "allowed" | "denied" | "failed";

/**
 * Each token is in one of these.
 */
export type Tokens = { input: number, output: number, cache_read: number, cache_write: number, };

export type ClientFrame = { "type": "subscribe", since: Seq, } | { "type": "prompt", text: string, mode?: Mode, client_request_id?: string, attachments?: Array<ArtifactId>, } | { "type": "edit_prompt", prompt: PromptId, text: string, } | { "type": "cancel_prompt", prompt: PromptId, } | { "type": "insert_prompt", prompt: PromptId, } | { "type": "reorder_prompts", order: Array<PromptId>, } | { "type": "stop", } | { "type": "resume_queue", } | { "type": "clear_queue", } | { "type": "typing", } | { "type": "presence", active: boolean, } | { "type": "ping", };

export type ServerFrame = { "type": "welcome", session: SessionSummary, participants: Array<Participant>, queue: Array<Prompt>, head_seq: Seq, } | { "type": "events", events: Array<Event>, } | { "type": "delta", part: PartId, offset: number, text: string, } | { "type": "presence", participants: Array<Participant>, } | { "type": "typing", person: Person, } | { "type": "error", code: string, message: string, client_request_id?: string, } | { "type": "pong" };

export type Participant = { person: Person, active: boolean, };

/**
 * `GET /api/me`.
 */
export type Me = { person: Person, role?: Role, };

/**
 * What somebody is in this deployment.
 */
export type Role = "member" | "administrator";

/**
 * `POST /api/sessions`.
 */
export type CreateSession = { repository: Repository, branch?: string, 
/**
 * Without one, the session only warms.
 */
prompt?: string, model?: Model, 
/**
 * One of the repository's environments; without it, the default.
 */
environment?: EnvironmentName, 
/**
 * Of the prompt.
 */
attachments?: Array<ArtifactId>, client_request_id?: string, };

/**
 * `POST /api/sessions/{id}/fork`: a session that goes on from the end of `prompt`.
 */
export type ForkSession = { prompt: PromptId, client_request_id?: string, };

/**
 * `PUT /api/sessions/{id}/queue`: all prompts that wait, in the order in which they are to start.
 */
export type ReorderQueue = { order: Array<PromptId>, };

export type CreatedSession = { id: SessionId, url: string, };

/**
 * A session as lists show it.
 */
export type SessionSummary = { id: SessionId, repository: Repository, branch: string, title: string, state: SessionState, created_by: Person, created_at: Millis, updated_at: Millis, 
/**
 * The newest one first opened is the last.
 */
pull_requests: Array<PullRequest>, 
/**
 * Nothing starts until somebody resumes or clears the queue.
 */
paused: boolean, parent?: Parent, 
/**
 * Something happened since the caller looked at it. Only in lists.
 */
unread?: boolean, };

export type SessionState = "warming" | "working" | "idle" | "failed" | "archived";

export type PullRequest = { number: number, url: string, title: string, 
/**
 * Of this session, that it asks to merge.
 */
branch: string, state: PullRequestState, 
/**
 * The newest verdict that is more than a comment.
 */
review?: ReviewVerdict, 
/**
 * How the checks of its head ended; absent while they run, and if there are none.
 */
checks?: ChecksVerdict, };

export type ChecksVerdict = "passed" | "failed";

/**
 * `GET /api/sessions`.
 */
export type SessionList = { sessions: Array<SessionSummary>, 
/**
 * Ask with `?cursor=` for what is older; absent at the end.
 */
cursor?: string, };

/**
 * `POST /api/sessions/{id}/prompts`.
 */
export type CreatePrompt = { text: string, mode?: Mode, 
/**
 * Of artifacts that were put into this session before.
 */
attachments?: Array<ArtifactId>, client_request_id?: string, };

export type CreatedPrompt = { id: PromptId, };

/**
 * `PATCH /api/sessions/{id}/prompts/{prompt}`.
 */
export type EditPrompt = { text: string, };

/**
 * `GET /api/sessions/{id}/events?since=&limit=`.
 */
export type EventPage = { events: Array<Event>, head_seq: Seq, };

/**
 * `POST /api/sessions/{id}/ws-ticket`.
 */
export type Ticket = { ticket: string, };

/**
 * `GET /api/sessions/{id}/waterfall`.
 */
export type Waterfall = { steps: Array<Step>, };

/**
 * `GET /api/sessions/{id}/contacts`.
 */
export type ContactList = { contacts: Array<Contact>, };

/**
 * `GET /api/repositories`.
 */
export type RepositoryList = { repositories: Array<RepositorySummary>, };

export type RepositorySummary = { repository: Repository, default_branch: string, private: boolean, 
/**
 * Whether the user may push, and so change its settings and secrets.
 */
may_write?: boolean, 
/**
 * Newest of the default branch that sandboxes can start from.
 */
image?: ImageAge, };

/**
 * `PATCH /api/sessions/{id}`: another title than its first prompt's, in one line.
 */
export type RenameSession = { title: string, };

/**
 * How ready a repository is, as pickers show it.
 */
export type ImageAge = { 
/**
 * Of the newest build, which may have come after the image that is used.
 */
state: ImageState, 
/**
 * When what sandboxes start from was built; absent if there is nothing yet.
 */
built_at?: Millis, };

/**
 * `GET /api/repositories/{owner}/{name}/branches?query=`: those whose name contains `query`, the
 * default branch first, at most 100.
 */
export type BranchList = { branches: Array<string>, };

/**
 * `GET /api/models`: what a session can be started with, the default first.
 */
export type ModelList = { models: Array<ModelChoice>, };

export type ModelChoice = { model: Model, 
/**
 * As people read it.
 */
label: string, };

/**
 * `GET /api/sessions/{id}/diff?prompt=&scope=`: as things were at the end of `prompt`, the newest
 * that ended if absent.
 */
export type Changes = { prompt: PromptId, scope: ChangesScope, 
/**
 * By path.
 */
files: Array<ChangedFile>, 
/**
 * Files beyond [`MAX_CHANGED_FILES`].
 */
omitted: number, };

export type ChangesScope = "session" | "prompt";

export type ChangedFile = { path: string, 
/**
 * What it was called, if it was renamed.
 */
previous?: string, change: Change, 
/**
 * Absent for binary files.
 */
additions?: number, deletions?: number, patch: Patch, };

export type Change = "added" | "modified" | "deleted" | "renamed";

export type Patch = { "kind": "text", hunks: string, } | { "kind": "binary" } | { "kind": "too_large" };

/**
 * `POST /api/sessions/{id}/terminal`.
 */
export type TerminalTicket = { 
/**
 * Absolute `ws:` or `wss:` URL of a host of its own, which never gets the page's cookies.
 */
url: string, 
/**
 * Good once, for 30 seconds.
 */
ticket: string, };

/**
 * A text message of a viewer.
 */
export type TerminalRequest = { "type": "take_control", } | { "type": "release_control", } | { "type": "resize", columns: number, rows: number, } | { "type": "ping", };

/**
 * A text message to a viewer.
 */
export type TerminalNotice = { "type": "state", columns: number, rows: number, viewers: Array<Person>, controller?: Person, 
/**
 * Whether this viewer is the one in control.
 */
yours: boolean, } | { "type": "ended", code?: number, } | { "type": "error", code: string, message: string, } | { "type": "pong" };

/**
 * What the lobby tells. A client sends nothing but `ping`, as text.
 */
export type LobbyNotice = { "type": "session", session: SessionSummary, } | { "type": "seen", session: SessionId, } | { "type": "prompting", people: number, } | { "type": "pong" };

/**
 * `PUT /api/repositories/{owner}/{name}/settings`, as a whole.
 */
export type Settings = { 
/**
 * What images of the default environment are to hold; without one, the repository's own files
 * decide.
 */
specification?: Specification, 
/**
 * What sandboxes may reach.
 */
egress?: EgressPolicy, 
/**
 * What is worked on here, in the words that people use: what chats go by when nobody names a
 * repository.
 */
hints?: string, };

/**
 * `GET /api/repositories/{owner}/{name}`.
 */
export type RepositoryDetail = { repository: Repository, default_branch: string, settings: Settings, 
/**
 * Newest of the default branch, in whatever state it is.
 */
image?: Image, };

/**
 * `POST /api/repositories/{owner}/{name}/images`.
 */
export type RequestImage = { 
/**
 * The default branch if absent.
 */
branch?: string, environment?: EnvironmentName, 
/**
 * Builds even if nothing changed.
 */
force?: boolean, };

export type RequestedImage = { 
/**
 * Of the build that was under way already, if there was one.
 */
id: ImageId, url: string, };

/**
 * An image, or the attempt to make one.
 */
export type Image = { id: ImageId, base: Base, state: ImageState, 
/**
 * Whether sandboxes of this base start from it: the newest that is good.
 */
current: boolean, 
/**
 * Why it was asked for, and once it is there, why it was built.
 */
reason: string, 
/**
 * Login of the person who asked; absent for those that nobody asked for.
 */
requested_by?: string, requested_at: Millis, started_at?: Millis, finished_at?: Millis, commit?: string, 
/**
 * Why it failed.
 */
message?: string, 
/**
 * Actual versions of what it holds.
 */
runtime: { [key in string]: string }, steps: Array<BuildStep>, 
/**
 * On disk.
 */
bytes: number, log_bytes: number, };

export type ImageState = "requested" | "building" | "ready" | "unchanged" | "failed";

/**
 * `GET /api/repositories/{owner}/{name}/images`.
 */
export type ImageList = { 
/**
 * Newest first.
 */
images: Array<Image>, };

/**
 * `GET /api/repositories/{owner}/{name}/images/{id}/log?offset=`.
 */
export type ImageLog = { 
/**
 * What follows `offset`, which counts bytes.
 */
text: string, 
/**
 * Where to go on. Less than what was asked for if the log began anew.
 */
next_offset: number, 
/**
 * Nothing will follow.
 */
complete: boolean, };

/**
 * `POST /api/repositories/{owner}/{name}/environments`.
 */
export type CreateEnvironment = { name: EnvironmentName, runtime?: { [key in string]: string }, packages?: Array<string>, setup?: string, 
/**
 * Logins of those who may use it, of all who reach the repository; empty for everybody.
 */
members?: Array<string>, };

export type Environment = { status: EnvironmentStatus, name: EnvironmentName, 
/**
 * Where its status is asked for.
 */
url: string, 
/**
 * Actual versions, once it is ready.
 */
runtime: { [key in string]: string }, 
/**
 * Why it failed.
 */
message?: string, specification: Specification, members: Array<string>, created_by: string, 
/**
 * What is being built or was built last.
 */
image?: ImageId, };

export type EnvironmentStatus = "building" | "ready" | "failed";

/**
 * `GET /api/repositories/{owner}/{name}/environments`.
 */
export type EnvironmentList = { environments: Array<Environment>, };

/**
 * `GET /api/sessions/{id}/artifacts`, oldest first.
 */
export type ArtifactList = { artifacts: Array<Artifact>, };

/**
 * `POST /api/sessions/{id}/artifacts/{artifact}/url`.
 */
export type RequestArtifactUrl = { 
/**
 * [`MIN_URL_SECONDS`] to [`MAX_URL_SECONDS`]; [`URL_SECONDS`] without it.
 */
expires_in_seconds?: number, };

/**
 * Whoever has the URL gets the file until then, without signing in.
 */
export type ArtifactUrl = { 
/**
 * Absolute.
 */
url: string, expires_at: Millis, };

/**
 * `POST /api/sessions/{id}/pull-requests`: opens the pull request of a branch, or makes the open
 * one as it is wanted. One is opened by itself for every branch with commits.
 */
export type WishPullRequest = { 
/**
 * The session's work branch when absent.
 */
branch?: string, title?: string, draft?: boolean, };

/**
 * `PATCH /api/sessions/{id}/pull-requests/{number}`: what is absent stays.
 */
export type ChangePullRequest = { title?: string, 
/**
 * The branch that it asks to be merged into.
 */
base?: string, draft?: boolean, };

/**
 * `GET /api/repositories/{owner}/{name}/blame?path=&line=&ref=`: who asked for a line, and why.
 */
export type Blame = { commit: string, 
/**
 * As git has it: `Name <address>`.
 */
author: string, 
/**
 * The session that the commit comes from; absent when a person made it.
 */
session: SessionId | null, prompt: PromptId | null, 
/**
 * What was asked for.
 */
prompt_text: string | null, 
/**
 * `provider/name`.
 */
model: string | null, 
/**
 * As git has them.
 */
co_authors: Array<string>, 
/**
 * The pull request by which it came.
 */
pull_request: number | null, };

/**
 * `PUT /api/me`.
 */
export type SetMe = { 
/**
 * The address that one's commits have, of those that GitHub has verified; GitHub's own for
 * the account when absent.
 */
commit_email?: string, };

/**
 * What a token may do of what its user may. None of them implies another.
 */
export type TokenScope = "read" | "write" | "admin";

/**
 * `POST /api/tokens`.
 */
export type CreateApiToken = { 
/**
 * For people: what it is for.
 */
name: string, scopes: Array<TokenScope>, 
/**
 * [`DEFAULT_TOKEN_DAYS`] if absent.
 */
expires_in_days?: number, };

/**
 * The only answer that has the secret.
 */
export type CreatedApiToken = { token: ApiToken, secret: string, };

export type ApiToken = { id: TokenId, name: string, scopes: Array<TokenScope>, created_at: Millis, expires_at: Millis, 
/**
 * Written at most every five minutes.
 */
last_used_at?: Millis, };

/**
 * `GET /api/tokens`.
 */
export type ApiTokenList = { tokens: Array<ApiToken>, };

/**
 * `GET /api/audit?cursor=`, newest first; for administrators.
 */
export type AuditPage = { entries: Array<AuditEntry>, 
/**
 * Ask with `?cursor=` for what is older; absent at the end.
 */
cursor?: string, };

export type AuditEntry = { at: Millis, user: UserId, 
/**
 * As it was then.
 */
login: string, means: Means, deed: Deed, 
/**
 * A session, a repository, a token.
 */
subject: string, 
/**
 * Which of the subject's parts: a secret's name. Never a value.
 */
detail?: string, };

/**
 * How somebody acted.
 */
export type Means = "browser" | "token";

export type Deed = "signed_in" | "signed_out_everywhere" | "token_created" | "token_revoked" | "secret_set" | "secret_removed" | "settings_changed" | "session_archived" | "prompt_stopped" | "terminal_opened" | "access_refused" | "audit_read";

/**
 * `PUT /api/repositories/{owner}/{name}/secrets/{secret}`.
 */
export type SetSecret = { value: string, scope: SecretScope, };

/**
 * Where a secret may be used.
 */
export type SecretScope = { "kind": "header", hosts: Array<HostPattern>, header: string, 
/**
 * Written before the value: `Bearer `.
 */
prefix: string, } | { "kind": "sandbox" };

/**
 * `GET /api/repositories/{owner}/{name}/secrets`: everything but the values.
 */
export type SecretList = { secrets: Array<SecretSummary>, };

export type SecretSummary = { name: string, scope: SecretScope, set_by: Person, set_at: Millis, };

/**
 * `GET /api/integrations`.
 */
export type Integrations = { github: GithubIntegration, slack: SlackIntegration, };

export type GithubIntegration = { 
/**
 * People call the App by `@` and this; absent if GitHub could not say it.
 */
app_slug?: string, 
/**
 * Where the App is installed on more repositories.
 */
install_url?: string, 
/**
 * Whether GitHub can tell what happens on it.
 */
webhooks: boolean, };

export type SlackIntegration = { connected: boolean, 
/**
 * It was connected, and works no more.
 */
outage?: SlackOutage, };

export type SlackOutage = { since: Millis, 
/**
 * What happened and what to do.
 */
message: string, };

/**
 * `GET /api/statistics?days=&repository=`: of repositories that the caller reaches, in the last
 * `days`. Averages and shares are absent until there is something that they are of.
 */
export type Statistics = { days: number, 
/**
 * The only one that is counted, if one was asked for.
 */
repository?: Repository, 
/**
 * Pull requests of sessions that were merged.
 */
merged: number, 
/**
 * Pull requests that sessions opened.
 */
opened: number, 
/**
 * Of those opened in these days, the share that is merged by now.
 */
merged_share: number | null, 
/**
 * One entry for each day, the oldest first.
 */
trend: Array<DayFigures>, 
/**
 * From opening to the first review, comment or merge of a person who is not the author.
 */
median_first_response_ms: number | null, median_merge_ms: number | null, 
/**
 * Of those that somebody approved or asked changes of, the share whose newest verdict is an
 * approval.
 */
approval_share: number | null, 
/**
 * Pushes after the first review, for each that was reviewed.
 */
revisions: number | null, 
/**
 * What was spent on models in these days, for each that was merged in them.
 */
microdollars_per_merged: number | null, microdollars: number, prompts: number, 
/**
 * Who prompted in the last five minutes.
 */
people_prompting: number, first_token_p50_ms: number | null, first_token_p95_ms: number | null, 
/**
 * Those with anything merged, whoever opened it, the most first.
 */
repositories: Array<RepositoryFigures>, people: Array<PersonFigures>, sources: Array<SourceFigures>, };

/**
 * What was opened and merged on one day.
 */
export type DayFigures = { 
/**
 * `2026-11-30`, in UTC.
 */
day: string, opened: number, merged: number, };

export type RepositoryFigures = { repository: Repository, 
/**
 * Merged pull requests, everybody's.
 */
all_merged: number, 
/**
 * Of these, the sessions'.
 */
merged: number, merged_share: number, 
/**
 * Lines that merged pull requests added, everybody's.
 */
all_lines: number, lines: number, line_share: number | null, };

/**
 * What came of one person's prompts.
 */
export type PersonFigures = { id: UserId, login: string, prompts: number, microdollars: number, opened: number, merged: number, };

/**
 * What came of prompts from one place.
 */
export type SourceFigures = { source: Source, prompts: number, microdollars: number, opened: number, merged: number, };

export type Totals = { prompts: number, microdollars: number, opened: number, merged: number, };

/**
 * `GET /api/statistics/pool`: what warm sandboxes did and cost, in the last `days`.
 */
export type PoolFigures = { days: number, 
/**
 * Sandboxes that were taken from a pool.
 */
hits: number, 
/**
 * Of hits and misses; absent until there was one.
 */
hit_percent: number | null, 
/**
 * Those that could not be. Sandboxes that went on from a snapshot are neither.
 */
misses: Array<PoolMiss>, 
/**
 * From asking for a sandbox to its being ready; absent until there was one.
 */
median_warm_ms: number | null, median_cold_ms: number | null, 
/**
 * `hits` times the difference of the medians.
 */
seconds_saved: number | null, 
/**
 * How long sandboxes waited in pools, all together.
 */
warm_sandbox_seconds: number, 
/**
 * What that cost; absent where nobody said what a sandbox costs.
 */
cost_microdollars: number | null, 
/**
 * What it cost today, in UTC.
 */
cost_today_microdollars: number | null, 
/**
 * What it may cost in a day.
 */
budget_microdollars: number | null, };

export type PoolMiss = { reason: MissReason, count: number, };

/**
 * Why a sandbox was not taken from a pool.
 */
export type MissReason = "pool_empty" | "budget_spent" | "older_image" | "other_model" | "no_image";

/**
 * Every answer that is not a success.
 */
export type ErrorBody = { error: ErrorDetail, };

export type ErrorDetail = { code: string, 
/**
 * What happened and what to do.
 */
message: string, };
