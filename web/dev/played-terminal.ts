/**
 * A terminal of the development peer: a prompt that echoes, seen by everybody and written to by one.
 *
 * It keeps the protocol's promises: what is said about it comes first, recent output after it, and
 * bytes count only from whoever has control.
 */
import type { WebSocket } from "ws";

import type { Person, TerminalNotice, TerminalRequest } from "../ui/src/protocol.ts";

const PROMPT = "\u001b[32magent\u001b[0m:\u001b[34m~/workspace\u001b[0m$ ";
const RECENT = 64 * 1024;

export class PlayedTerminal {
  /** Everything that was typed, over all viewers. */
  typed = "";
  #output = PROMPT;
  #line = "";
  #columns = 80;
  #rows = 24;
  #controller: WebSocket | undefined;
  readonly #viewers = new Map<WebSocket, Person>();

  get viewers(): number {
    return this.#viewers.size;
  }

  connect(socket: WebSocket, person: Person): void {
    this.#viewers.set(socket, person);
    this.#tell();
    socket.send(Buffer.from(this.#output));
    socket.on("message", (data: Buffer, binary: boolean) => {
      if (binary) this.#type(socket, String(data));
      else this.#request(socket, JSON.parse(String(data)) as TerminalRequest);
    });
    socket.on("close", () => {
      this.#viewers.delete(socket);
      if (this.#controller === socket) this.#controller = undefined;
      this.#tell();
    });
  }

  print(text: string): void {
    this.#output = (this.#output + text).slice(-RECENT);
    for (const viewer of this.#viewers.keys()) viewer.send(Buffer.from(text));
  }

  cutAll(): void {
    for (const viewer of [...this.#viewers.keys()]) viewer.terminate();
  }

  end(code: number): void {
    for (const viewer of this.#viewers.keys()) say(viewer, { type: "ended", code });
    this.#output = PROMPT;
  }

  #request(socket: WebSocket, request: TerminalRequest): void {
    switch (request.type) {
      case "take_control":
        this.#controller = socket;
        return this.#tell();
      case "release_control":
        if (this.#controller === socket) this.#controller = undefined;
        return this.#tell();
      case "resize":
        if (this.#controller !== socket) return;
        this.#columns = request.columns;
        this.#rows = request.rows;
        return this.#tell();
      case "ping":
        return say(socket, { type: "pong" });
    }
  }

  #type(socket: WebSocket, text: string): void {
    if (this.#controller !== socket) {
      return say(socket, { type: "error", code: "not_in_control", message: "Take control first." });
    }
    this.typed += text;
    for (const key of text) {
      if (key === "\r") {
        this.print(`\r\n${answer(this.#line)}${PROMPT}`);
        this.#line = "";
      } else if (key === "\u007f") {
        if (this.#line === "") continue;
        this.#line = this.#line.slice(0, -1);
        this.print("\b \b");
      } else {
        this.#line += key;
        this.print(key);
      }
    }
  }

  #tell(): void {
    const viewers = [...new Map([...this.#viewers.values()].map((person) => [person.id, person])).values()];
    const controller = this.#controller && this.#viewers.get(this.#controller);
    for (const viewer of this.#viewers.keys()) {
      say(viewer, {
        type: "state",
        columns: this.#columns,
        rows: this.#rows,
        viewers,
        ...(controller && { controller }),
        yours: viewer === this.#controller,
      });
    }
  }
}

function answer(line: string): string {
  if (line === "") return "";
  if (line === "ls") return "Cargo.toml  README.md  \u001b[34msrc\u001b[0m  \u001b[34mtests\u001b[0m\r\n";
  if (line.startsWith("echo ")) return `${line.slice(5)}\r\n`;
  return `bash: ${line}: command not found\r\n`;
}

function say(socket: WebSocket, notice: TerminalNotice): void {
  socket.send(JSON.stringify(notice));
}
