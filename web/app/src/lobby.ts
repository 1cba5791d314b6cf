/**
 * The lobby: what changes while this page is open, in every session that its person reaches. One
 * connection for the whole page. Notices are hints, so the list is asked for again whenever the
 * connection is new.
 */
import { createEffect, createSignal, on, onCleanup } from "solid-js";

import type { LobbyNotice, Person, SessionId } from "#ui/protocol.ts";
import { Connection, type Link } from "#ui/socket.ts";

import { LOBBY_PATH, api } from "./api.ts";
import { startNotifications, tellOfEnd } from "./notifications.ts";
import { route } from "./router.ts";
import { applyNotice, knownSession, markSeen, refreshSessions } from "./sessions.ts";

const SUBPROTOCOL = "v1.lobby";

/** What is looked at is marked as seen once it rests, not with every change. */
const SEEN_MS = 1_500;

const [lobbyLink, setLink] = createSignal<Link>({ phase: "closed" });
const [peoplePrompting, setPrompting] = createSignal<number | undefined>();

export { lobbyLink, peoplePrompting };

/** Lives as long as the component that calls it. */
export function createLobby(me: Person): void {
  const looking = (id: SessionId): boolean => openSession() === id && document.visibilityState === "visible";

  let seeing: ReturnType<typeof setTimeout> | undefined;
  const see = (id: SessionId) => {
    markSeen(id);
    clearTimeout(seeing);
    // If it fails, the dot comes back with the next list, and goes with the next look.
    seeing = setTimeout(() => void api.seen(id).catch(() => undefined), SEEN_MS);
  };

  const receive = (notice: LobbyNotice) => {
    switch (notice.type) {
      case "session": {
        const { session } = notice;
        const before = knownSession(session.id);
        const here = looking(session.id);
        if (!here && before) tellOfEnd(before, session, me);
        applyNotice(notice, me.id, here);
        if (here) see(session.id);
        break;
      }
      case "seen":
        markSeen(notice.session);
        break;
      case "prompting":
        setPrompting(notice.people);
        break;
      default:
        break;
    }
  };

  const connection = new Connection<LobbyNotice>(
    {
      ticket: api.lobbyTicket,
      open(ticket) {
        const url = new URL(LOBBY_PATH, location.href);
        url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
        return new WebSocket(url, [SUBPROTOCOL, `ticket.${ticket}`]);
      },
      random: Math.random,
      ping: "ping",
      liveWhenOpen: true,
    },
    { opened: () => void refreshSessions(), frame: receive, link: setLink },
  );

  const look = () => {
    const id = openSession();
    if (id !== undefined && document.visibilityState === "visible") see(id);
  };
  const wake = () => {
    if (document.visibilityState !== "visible") return;
    connection.wake();
    look();
  };
  window.addEventListener("online", wake);
  document.addEventListener("visibilitychange", wake);
  createEffect(on(openSession, look));
  startNotifications();
  connection.start();
  onCleanup(() => {
    window.removeEventListener("online", wake);
    document.removeEventListener("visibilitychange", wake);
    clearTimeout(seeing);
    connection.close();
  });
}

export function openSession(): SessionId | undefined {
  const at = route();
  return at.page === "session" ? at.id : undefined;
}
