/** The lobby of the development peer: who listens, and what each has seen. */
import type { WebSocket } from "ws";

import type { LobbyNotice, Person, SessionSummary } from "../ui/src/protocol.ts";

export class Lobby {
  people = 3;

  readonly #sockets = new Map<WebSocket, Person>();
  readonly #seen = new Map<string, number>();

  join(socket: WebSocket, person: Person): void {
    this.#sockets.set(socket, person);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("message", (data) => {
      if (String(data) === "ping") say(socket, { type: "pong" });
    });
    say(socket, { type: "prompting", people: this.people });
  }

  tell(notice: LobbyNotice): void {
    for (const socket of this.#sockets.keys()) say(socket, notice);
  }

  prompting(people: number): void {
    this.people = people;
    this.tell({ type: "prompting", people });
  }

  see(session: SessionSummary, person: Person): void {
    this.#seen.set(key(session, person), session.updated_at);
    for (const [socket, of] of this.#sockets) {
      if (of.id === person.id) say(socket, { type: "seen", session: session.id });
    }
  }

  isUnread(session: SessionSummary, person: Person): boolean {
    return session.updated_at > (this.#seen.get(key(session, person)) ?? 0);
  }

  get listeners(): number {
    return this.#sockets.size;
  }

  cutAll(): void {
    for (const socket of this.#sockets.keys()) socket.terminate();
  }
}

const key = (session: SessionSummary, person: Person): string => `${session.id} ${person.id}`;

function say(socket: WebSocket, notice: LobbyNotice): void {
  socket.send(JSON.stringify(notice));
}
