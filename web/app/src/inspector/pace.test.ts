import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Pace } from "./pace.ts";

const REST_MS = 4_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** `asked` counts; each question is answered by `answer`. */
function paced(): { pace: Pace; asked: () => number; answer: () => Promise<void> } {
  let asked = 0;
  let answers: (() => void)[] = [];
  const pace = new Pace(() => {
    asked += 1;
    return new Promise<void>((done) => answers.push(done));
  }, REST_MS);
  return {
    pace,
    asked: () => asked,
    answer: async () => {
      for (const one of answers) one();
      answers = [];
      await vi.advanceTimersByTimeAsync(0);
    },
  };
}

test("what is wanted is asked for at once, and what is wanted meanwhile once after a rest", async () => {
  const { pace, asked, answer } = paced();
  pace.look(true);
  pace.want();
  expect(asked()).toBe(1);
  await answer();
  for (let wish = 0; wish < 20; wish += 1) pace.want();
  await vi.advanceTimersByTimeAsync(REST_MS - 1);
  expect(asked()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(asked()).toBe(2);
  await answer();
  await vi.advanceTimersByTimeAsync(10 * REST_MS);
  expect(asked()).toBe(2);
});

test("nothing is asked while nobody looks, and once when somebody looks again", async () => {
  const { pace, asked } = paced();
  pace.want();
  pace.want();
  await vi.advanceTimersByTimeAsync(10 * REST_MS);
  expect(asked()).toBe(0);
  pace.look(true);
  expect(asked()).toBe(1);
});

test("a slow answer is waited for, however long it takes", async () => {
  const { pace, asked, answer } = paced();
  pace.look(true);
  pace.want();
  pace.want();
  await vi.advanceTimersByTimeAsync(10 * REST_MS);
  expect(asked()).toBe(1);
  await answer();
  expect(asked()).toBe(2);
});

test("what was asked for otherwise, or is over, is not asked for again", async () => {
  const { pace, asked, answer } = paced();
  pace.look(true);
  pace.want();
  await answer();
  pace.want();
  pace.unwant();
  await vi.advanceTimersByTimeAsync(2 * REST_MS);
  pace.want();
  await answer();
  pace.want();
  pace.end();
  await vi.advanceTimersByTimeAsync(10 * REST_MS);
  expect(asked()).toBe(2);
});
