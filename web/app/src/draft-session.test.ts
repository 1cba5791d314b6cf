import { expect, test, vi } from "vitest";

import type { CreateSession } from "#ui/protocol.ts";

import { DraftSession } from "./draft-session.ts";

const STORE = { repository: "acme/store" };
const OTHER = { repository: "acme/other" };

function ports() {
  const asked: CreateSession[] = [];
  const released: string[] = [];
  let failing = false;
  return {
    asked,
    released,
    fail: (does: boolean) => (failing = does),
    create: async (wanted: CreateSession) => {
      asked.push(wanted);
      if (failing) throw new Error("offline");
      return `ses_${asked.length}`;
    },
    release: async (id: string) => void released.push(id),
  };
}

test("one choice has one session, however often it is begun", async () => {
  const to = ports();
  const draft = new DraftSession(to);
  expect(await Promise.all([draft.begin(STORE), draft.begin(STORE)])).toEqual(["ses_1", "ses_1"]);
  expect(to.asked).toHaveLength(1);
  expect(draft.id()).toBe("ses_1");
});

test("another choice releases the session of the one before", async () => {
  const to = ports();
  const draft = new DraftSession(to);
  await draft.begin(STORE);
  expect(await draft.begin(OTHER)).toBe("ses_2");
  await vi.waitFor(() => expect(to.released).toEqual(["ses_1"]));
  expect(draft.made()).toEqual({ id: "ses_2", choice: JSON.stringify(OTHER) });
});

test("a session that is asked for while the choice changes is released once it is there", async () => {
  const to = ports();
  const draft = new DraftSession(to);
  const first = draft.begin(STORE);
  await draft.begin(OTHER);
  await first;
  await vi.waitFor(() => expect(to.released).toEqual(["ses_1"]));
  expect(draft.id()).toBe("ses_2");
});

test("what failed is asked for again by the same request", async () => {
  const to = ports();
  const draft = new DraftSession(to);
  to.fail(true);
  await expect(draft.begin(STORE)).rejects.toThrow("offline");
  to.fail(false);
  await draft.begin(STORE);
  expect(to.asked[0]?.client_request_id).toBe(to.asked[1]?.client_request_id);
});

test("what was sent is released by nothing any more", async () => {
  const to = ports();
  const draft = new DraftSession(to);
  await draft.begin(STORE);
  draft.sent();
  await draft.begin(OTHER);
  expect(to.released).toEqual([]);
});

test("a session of an earlier load is gone on with", async () => {
  const to = ports();
  const draft = new DraftSession(to);
  draft.adopt({ id: "ses_before", choice: JSON.stringify(STORE) });
  expect(await draft.begin(STORE)).toBe("ses_before");
  expect(to.asked).toEqual([]);
});
