/**
 * The first prompt of a session on its way: it is sent at once, and the session's page shows it before
 * the log has it. Both send it as the same request, so it counts once.
 */
import { createEffect } from "solid-js";

import type { SessionClient } from "#ui/client.ts";
import { requestId } from "#ui/outbox.ts";
import type { Artifact, SessionId } from "#ui/protocol.ts";

import { api } from "./api.ts";
import { notePrompted } from "./notifications.ts";

interface FirstPrompt {
  readonly request: string;
  readonly text: string;
  readonly attachments: readonly Artifact[];
}

const waiting = new Map<SessionId, FirstPrompt>();

export function sendFirstPrompt(id: SessionId, text: string, attachments: readonly Artifact[]): void {
  const request = requestId();
  waiting.set(id, { request, text, attachments });
  // The session's page sends it again on its own connection, and says there why it was refused.
  void api
    .prompt(id, {
      text,
      mode: "queue",
      client_request_id: request,
      ...(attachments.length > 0 && { attachments: attachments.map((artifact) => artifact.id) }),
    })
    .catch(() => undefined);
}

/** Shows it, once, on the page that opens for it; and notes whatever else is sent there. */
export function followPrompts(id: SessionId, client: SessionClient): void {
  const first = waiting.get(id);
  waiting.delete(id);
  if (first) client.store.outbox.add(first.request, first.text, "queue", first.attachments);
  createEffect(() => client.store.outbox.items().length > 0 && notePrompted(id));
}
