import { expect, test, vi } from "vitest";

import type { Artifact } from "./protocol.ts";
import { Uploads, bytes, type Send } from "./uploads.ts";

function file(name: string, size = 3, type = "text/plain"): File {
  return new File([new Uint8Array(size)], name, { type });
}

function artifact(name: string): Artifact {
  return { id: `art_${name}`, name, media_type: "text/plain", bytes: 3 };
}

/** Answers when the test says so. */
function held(): { send: Send; answer: ((artifact: Artifact) => void)[]; fail: ((error: Error) => void)[]; progress: ((done: number) => void)[]; signals: AbortSignal[] } {
  const answer: ((artifact: Artifact) => void)[] = [];
  const fail: ((error: Error) => void)[] = [];
  const progress: ((done: number) => void)[] = [];
  const signals: AbortSignal[] = [];
  const send: Send = (_, told, signal) => {
    progress.push(told);
    signals.push(signal);
    return new Promise((resolve, reject) => {
      answer.push(resolve);
      fail.push(reject);
    });
  };
  return { send, answer, fail, progress, signals };
}

test("a file is an attachment once the server has it, and not before", async () => {
  const way = held();
  const uploads = new Uploads(way.send);
  uploads.add([file("a.txt")]);
  way.progress[0]?.(0.5);
  expect(uploads.items()[0]?.state).toEqual({ phase: "sending", progress: 0.5 });
  expect(uploads.problem()).toContain("Wait");
  way.answer[0]?.(artifact("a.txt"));
  await vi.waitFor(() => expect(uploads.problem()).toBeUndefined());
  expect(uploads.artifacts()).toEqual([artifact("a.txt")]);
});

test("a file that cannot be taken is never sent, and says why", () => {
  const way = held();
  const uploads = new Uploads(way.send);
  uploads.add([file("large.bin", 10 * 1024 * 1024 + 1), file("empty.txt", 0)]);
  expect(way.answer).toHaveLength(0);
  expect(uploads.items().map(({ state }) => (state.phase === "failed" ? state.message : ""))).toEqual([
    "The file is too large: it may have at most 10 MB.",
    "The file is empty.",
  ]);
  expect(uploads.problem()).toContain("Remove it");
});

test("there are at most twenty", () => {
  const uploads = new Uploads(held().send);
  uploads.add(Array.from({ length: 21 }, (_, index) => file(`${index}.txt`)));
  expect(uploads.items().at(-1)?.state).toMatchObject({ phase: "failed", message: "A prompt has at most 20 files." });
});

test("what failed on the way can be tried again", async () => {
  const way = held();
  const uploads = new Uploads(way.send);
  uploads.add([file("a.txt")]);
  way.fail[0]?.(new Error("offline"));
  await vi.waitFor(() => expect(uploads.items()[0]?.state).toMatchObject({ phase: "failed", message: "offline" }));
  uploads.retry(uploads.items()[0]?.id ?? "");
  way.answer[1]?.(artifact("a.txt"));
  await vi.waitFor(() => expect(uploads.artifacts()).toHaveLength(1));
});

test("what is removed while it is sent is given up", async () => {
  const way = held();
  const uploads = new Uploads(way.send);
  uploads.add([file("a.txt")]);
  uploads.remove(uploads.items()[0]?.id ?? "");
  expect(way.signals[0]?.aborted).toBe(true);
  way.fail[0]?.(new Error("aborted"));
  await Promise.resolve();
  expect(uploads.items()).toEqual([]);
});

test("sizes are for people", () => {
  expect([bytes(900), bytes(1536), bytes(48_211), bytes(3_500_000)]).toEqual(["900 B", "1.5 KB", "47 KB", "3.3 MB"]);
});

test("what was uploaded before a reload is an attachment still", () => {
  const uploads = new Uploads(held().send);
  uploads.restore([{ ...artifact("a.png"), media_type: "image/png" }], ({ id }) => `/files/${id}`);
  expect(uploads.items()[0]).toMatchObject({ preview: "/files/art_a.png", file: { name: "a.png" } });
  expect(uploads.artifacts().map(({ id }) => id)).toEqual(["art_a.png"]);
});

test("files are sent again to another place, but not those of an earlier page", async () => {
  const way = held();
  const uploads = new Uploads(way.send);
  uploads.add([file("a.txt")]);
  way.answer[0]?.(artifact("a.txt"));
  await vi.waitFor(() => expect(uploads.artifacts()).toHaveLength(1));
  uploads.restore([artifact("b.txt")], () => "");
  uploads.resend();
  expect(way.answer).toHaveLength(2);
  expect(uploads.artifacts()).toEqual([]);
  expect(uploads.items().map(({ state }) => state.phase)).toEqual(["failed", "sending"]);
});

test("an upload that is sent elsewhere meanwhile counts only there", async () => {
  const way = held();
  const uploads = new Uploads(way.send);
  uploads.add([file("a.txt")]);
  uploads.resend();
  expect(way.signals[0]?.aborted).toBe(true);
  way.answer[0]?.(artifact("old"));
  way.answer[1]?.(artifact("new"));
  await vi.waitFor(() => expect(uploads.artifacts()).toHaveLength(1));
  expect(uploads.artifacts()).toEqual([artifact("new")]);
});
