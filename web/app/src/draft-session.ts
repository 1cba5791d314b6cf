/**
 * The session behind a prompt that is still being written: made with the first keystroke, so that its
 * sandbox warms meanwhile. It is of one choice (repository, branch, model, environment); another
 * choice releases it. What is remembered of it survives a reload.
 */
import { createSignal, type Accessor } from "solid-js";

import { requestId } from "#ui/outbox.ts";
import type { CreateSession, SessionId } from "#ui/protocol.ts";

/** What a session is asked for with, before its prompt. */
export type Choice = Pick<CreateSession, "repository" | "branch" | "model" | "environment">;

export interface DraftPorts {
  create(wanted: CreateSession): Promise<SessionId>;
  /** Ends a draft that nobody will send. */
  release(id: SessionId): Promise<void>;
}

export interface Made {
  readonly id: SessionId;
  readonly choice: string;
}

export class DraftSession {
  readonly #ports: DraftPorts;
  readonly #id = createSignal<SessionId | undefined>();
  /** The session that is being written for: there, or asked for and not told yet. */
  readonly id: Accessor<SessionId | undefined> = this.#id[0];

  #making: { readonly choice: string; readonly request: string; readonly promise: Promise<SessionId> } | undefined;
  #failed: { readonly choice: string; readonly request: string } | undefined;

  constructor(ports: DraftPorts) {
    this.#ports = ports;
  }

  /** One that an earlier load of the page made. */
  adopt({ id, choice }: Made): void {
    this.#making = { choice, request: requestId(), promise: Promise.resolve(id) };
    this.#id[1](id);
  }

  /** That of this choice, made if there is none. A failure can be tried again and makes no second one. */
  begin(choice: Choice): Promise<SessionId> {
    const key = JSON.stringify(choice);
    const before = this.#making;
    if (before?.choice === key) return before.promise;
    const request = this.#failed?.choice === key ? this.#failed.request : requestId();
    this.release();
    const promise = this.#ports.create({ ...choice, client_request_id: request });
    const making = { choice: key, request, promise };
    this.#making = making;
    promise.then(
      (id) => this.#making === making && this.#id[1](id),
      () => {
        if (this.#making !== making) return;
        this.#failed = making;
        this.#making = undefined;
      },
    );
    return promise;
  }

  made(): Made | undefined {
    const id = this.id();
    return id !== undefined && this.#making ? { id, choice: this.#making.choice } : undefined;
  }

  /** It is a session now and nobody's draft. */
  sent(): void {
    this.#making = undefined;
    this.#failed = undefined;
    this.#id[1](undefined);
  }

  release(): void {
    const making = this.#making;
    this.sent();
    // A session without a prompt is in no list, and its sandbox is taken back anyway, only later.
    making?.promise.then((id) => this.#ports.release(id)).catch(() => undefined);
  }
}
