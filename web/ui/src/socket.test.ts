import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { SUMMARY } from "./events.fixture.ts";
import { Connection, Refused, type Link, type Ports, type SocketLike } from "./socket.ts";

const WELCOME = JSON.stringify({ type: "welcome", session: SUMMARY, participants: [], queue: [], head_seq: 0 });

class Socket implements SocketLike {
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  readonly sent: string[] = [];
  closed = false;

  send(text: string): void {
    this.sent.push(text);
  }

  close(): void {
    this.closed = true;
  }

  say(data: string): void {
    this.onmessage?.({ data } as MessageEvent<unknown>);
  }

  welcome(): void {
    this.onopen?.({} as Event);
    this.say(WELCOME);
  }

  drop(): void {
    this.onclose?.({} as CloseEvent);
  }
}

function connect(ticket: () => Promise<string> = () => Promise.resolve("t"), more: Partial<Ports> = {}) {
  const sockets: Socket[] = [];
  const tickets: string[] = [];
  const links: Link[] = [];
  const listener = { opened: vi.fn(), frame: vi.fn(), link: (link: Link) => void links.push(link) };
  const connection = new Connection(
    {
      ticket,
      open(value) {
        tickets.push(value);
        const socket = new Socket();
        sockets.push(socket);
        return socket;
      },
      random: () => 1,
      ...more,
    },
    listener,
  );
  connection.start();
  return { connection, sockets, tickets, links, listener };
}

const settle = () => vi.advanceTimersByTimeAsync(0);

async function live(ticket?: () => Promise<string>) {
  const made = connect(ticket);
  await settle();
  made.sockets[0]?.welcome();
  return made;
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("it is live after the welcome, not before", async () => {
  const { sockets, links, listener } = connect();
  await settle();
  sockets[0]?.onopen?.({} as Event);
  expect(listener.opened).toHaveBeenCalledOnce();
  expect(links).toEqual([]);
  sockets[0]?.say(WELCOME);
  expect(links).toEqual([{ phase: "live" }]);
});

test("every try uses a ticket of its own", async () => {
  let count = 0;
  const { sockets, tickets } = await live(() => Promise.resolve(`t${(count += 1)}`));
  sockets[0]?.drop();
  await vi.advanceTimersByTimeAsync(500);
  expect(tickets).toEqual(["t1", "t2"]);
});

test("waits grow while nothing answers and start over after a welcome", async () => {
  const { sockets, links } = await live();
  for (const wait of [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
    const tries = sockets.length;
    sockets.at(-1)?.drop();
    await vi.advanceTimersByTimeAsync(wait - 1);
    expect(sockets).toHaveLength(tries);
    await vi.advanceTimersByTimeAsync(1);
    expect(sockets).toHaveLength(tries + 1);
  }
  sockets.at(-1)?.welcome();
  sockets.at(-1)?.drop();
  expect(links.at(-1)).toEqual({ phase: "reconnecting", attempt: 1 });
});

test("a page or network that comes back does not wait", async () => {
  const { connection, sockets } = await live();
  sockets[0]?.drop();
  connection.wake();
  await settle();
  expect(sockets).toHaveLength(2);
});

test("waking while a try is under way does not start another", async () => {
  const { connection, sockets } = connect();
  connection.wake();
  await settle();
  connection.wake();
  await settle();
  expect(sockets).toHaveLength(1);
});

test("an unanswered ping means that the connection is lost", async () => {
  const { sockets, links } = await live();
  await vi.advanceTimersByTimeAsync(25_000);
  expect(sockets[0]?.sent).toEqual(['{"type":"ping"}']);
  await vi.advanceTimersByTimeAsync(9_999);
  expect(links.at(-1)?.phase).toBe("live");
  await vi.advanceTimersByTimeAsync(1);
  expect(links.at(-1)?.phase).toBe("reconnecting");
  expect(sockets[0]?.closed).toBe(true);
});

test("an answered ping leads to the next one", async () => {
  const { sockets, links } = await live();
  for (let round = 1; round <= 3; round += 1) {
    await vi.advanceTimersByTimeAsync(25_000);
    expect(sockets[0]?.sent).toHaveLength(round);
    sockets[0]?.say('{"type":"pong"}');
  }
  await vi.advanceTimersByTimeAsync(15_000);
  expect(links).toEqual([{ phase: "live" }]);
});

test("waking asks a live socket whether it still is", async () => {
  const { connection, sockets, links } = await live();
  connection.wake();
  connection.wake();
  expect(sockets[0]?.sent[0]).toBe('{"type":"ping"}');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(links.at(-1)?.phase).toBe("reconnecting");
});

test("a server that never welcomes is given up on", async () => {
  const { sockets, links } = connect();
  await settle();
  sockets[0]?.onopen?.({} as Event);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(links.at(-1)?.phase).toBe("reconnecting");
});

test("a refused ticket ends all trying", async () => {
  const { sockets, links } = connect(() => Promise.reject(new Refused("No such session.")));
  await vi.advanceTimersByTimeAsync(120_000);
  expect(links).toEqual([{ phase: "refused", message: "No such session." }]);
  expect(sockets).toEqual([]);
});

test("a ticket that cannot be fetched is tried again", async () => {
  let down = true;
  const { sockets } = connect(() => (down ? Promise.reject(new Error("offline")) : Promise.resolve("t")));
  await vi.advanceTimersByTimeAsync(400);
  down = false;
  await vi.advanceTimersByTimeAsync(500);
  expect(sockets).toHaveLength(1);
});

test("what an earlier socket still says is ignored", async () => {
  const { sockets, listener } = await live();
  sockets[0]?.drop();
  listener.frame.mockClear();
  sockets[0]?.say('{"type":"pong"}');
  sockets[0]?.drop();
  await vi.advanceTimersByTimeAsync(500);
  expect(listener.frame).not.toHaveBeenCalled();
  expect(sockets).toHaveLength(2);
});

test("after closing nothing happens any more", async () => {
  const { connection, sockets } = await live();
  connection.close();
  expect(connection.send({ type: "stop" })).toBe(false);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(sockets).toHaveLength(1);
});

test("what is not a frame is passed over", async () => {
  const { sockets, listener } = await live();
  listener.frame.mockClear();
  for (const data of ["", "{", "null", "[]", '"text"', '{"type":1}']) sockets[0]?.say(data);
  expect(listener.frame).not.toHaveBeenCalled();
});

test("a socket without a welcome is live when it is open, and is asked in its own words", async () => {
  const { sockets, links, listener } = connect(undefined, { liveWhenOpen: true, ping: "ping" });
  await settle();
  sockets[0]?.onopen?.({} as Event);
  expect(links.at(-1)).toEqual({ phase: "live" });
  expect(listener.opened).toHaveBeenCalledOnce();
  await vi.advanceTimersByTimeAsync(25_000);
  expect(sockets[0]?.sent).toEqual(["ping"]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(links.at(-1)).toMatchObject({ phase: "reconnecting" });
});
