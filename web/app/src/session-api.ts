/** What the session page asks of the server beside its socket. */
import type {
  ArtifactList,
  ChangePullRequest,
  Changes,
  ChangesScope,
  ContactList,
  EventPage,
  PromptId,
  Seq,
  SessionId,
  TerminalTicket,
  WishPullRequest,
} from "#ui/protocol.ts";

import { call, sessionApi } from "./api.ts";

/** Events in one page: enough for a screen, and soon here. */
const PAGE = 500;

export const sessionParts = {
  events: (id: SessionId, before: Seq) =>
    call<EventPage>("GET", `${sessionApi(id)}/events?before=${before}&limit=${PAGE}`),
  changes: (id: SessionId, scope: ChangesScope, prompt?: PromptId) => {
    const query = new URLSearchParams({ scope, ...(prompt !== undefined && { prompt }) });
    return call<Changes>("GET", `${sessionApi(id)}/diff?${query}`);
  },
  /** As the files are now if a prompt runs; else, and if nobody can tell, as at the end of the newest. */
  changesNow: (id: SessionId, scope: ChangesScope) =>
    call<Changes>("GET", `${sessionApi(id)}/diff?${new URLSearchParams({ scope, live: "true" })}`),
  contacts: (id: SessionId) => call<ContactList>("GET", `${sessionApi(id)}/contacts`),
  artifacts: (id: SessionId) => call<ArtifactList>("GET", `${sessionApi(id)}/artifacts`),
  wishPullRequest: (id: SessionId, body: WishPullRequest) => call<unknown>("POST", `${sessionApi(id)}/pull-requests`, body),
  changePullRequest: (id: SessionId, number: number, body: ChangePullRequest) =>
    call<unknown>("PATCH", `${sessionApi(id)}/pull-requests/${number}`, body),
  terminal: (id: SessionId) => call<TerminalTicket>("POST", `${sessionApi(id)}/terminal`, {}),
};
