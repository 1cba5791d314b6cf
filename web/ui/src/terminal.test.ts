import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { TerminalConnection, type TerminalState } from "./terminal.ts";

class FakeSocket {
  static readonly OPEN = 1;
  readyState = 1;
  binaryType = "";
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly sent: unknown[] = [];
  send(data: unknown): void {
    this.sent.push(data);
  }
  close(): void {
    this.readyState = 3;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function connected(ticket = () => Promise.resolve({ url: "ws://x", ticket: "t" })) {
  const sockets: FakeSocket[] = [];
  const states: TerminalState[] = [];
  const resets = vi.fn();
  const connection = new TerminalConnection(
    {
      ticket,
      open: () => {
        const socket = new FakeSocket();
        sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      refusal: (error) => (error === "asleep" ? { asleep: true, message: "no sandbox" } : undefined),
    },
    { state: (state) => states.push(state), reset: resets, window: () => undefined, output: () => undefined, complaint: () => undefined },
  );
  connection.connect();
  const tell = (notice: object) => sockets.at(-1)?.onmessage?.({ data: JSON.stringify(notice) });
  return { connection, sockets, states, resets, tell };
}

const STATE = { type: "state", columns: 80, rows: 24, viewers: [], yours: false };
const bytes = (text: string) => new TextEncoder().encode(text);

test("what is typed goes nowhere without control, and in pieces with it", async () => {
  const { connection, sockets, tell } = connected();
  await vi.advanceTimersByTimeAsync(0);
  tell(STATE);
  connection.type(bytes("rm"));
  expect(sockets[0]?.sent).toEqual([]);
  tell({ ...STATE, yours: true });
  connection.type(bytes("x".repeat(70_000)));
  expect(sockets[0]?.sent.map((piece) => (piece as Uint8Array).length)).toEqual([32_768, 32_768, 4_464]);
});

test("a lost connection is made anew, and its screen begins anew", async () => {
  const { sockets, states, resets, tell } = connected();
  await vi.advanceTimersByTimeAsync(0);
  tell(STATE);
  sockets[0]?.onclose?.();
  expect(states.at(-1)).toEqual({ phase: "reconnecting" });
  await vi.advanceTimersByTimeAsync(500);
  tell(STATE);
  expect(states.at(-1)).toMatchObject({ phase: "live" });
  expect(resets).toHaveBeenCalledTimes(2);
});

test("where there is no sandbox nothing is tried again", async () => {
  const asked = vi.fn(() => Promise.reject("asleep" as unknown as Error));
  const { states } = connected(asked);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(states.at(-1)).toEqual({ phase: "asleep", message: "no sandbox" });
  expect(asked).toHaveBeenCalledTimes(1);
  const told = connected();
  await vi.advanceTimersByTimeAsync(0);
  told.tell({ type: "error", code: "no_sandbox", message: "none now" });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told.states.at(-1)).toEqual({ phase: "asleep", message: "none now" });
  expect(told.sockets).toHaveLength(1);
});

test("a server that cannot be reached is given up after a while", async () => {
  const { states } = connected(() => Promise.reject(new Error("offline")));
  await vi.advanceTimersByTimeAsync(120_000);
  expect(states.at(-1)).toMatchObject({ phase: "failed" });
});
