/** Pull requests of a session, in the order in which they were opened. */
import { createSignal, type Accessor } from "solid-js";

import type { PullRequest } from "../protocol.ts";
import type { EventOf } from "./item.ts";

/** What the log says of one; a summary knows its branch too. */
export type OpenedPullRequest = Omit<PullRequest, "branch"> & {
  readonly branch?: string;
  /** Names of the checks that failed last, if the log told. */
  readonly failed?: readonly string[];
};

export class PullRequests {
  readonly #all = createSignal<readonly OpenedPullRequest[]>([]);
  readonly all: Accessor<readonly OpenedPullRequest[]> = this.#all[0];

  /** As the server knows them; the log tells what changes from then on. */
  seed(pulls: readonly PullRequest[]): void {
    const known = new Map(this.all().map((pull) => [pull.number, pull]));
    const told = pulls.map((pull) => {
      const failed = pull.checks === "failed" ? known.get(pull.number)?.failed : undefined;
      return { ...pull, ...(failed && { failed }) };
    });
    const numbers = new Set(pulls.map(({ number }) => number));
    this.#all[1]([...told, ...this.all().filter(({ number }) => !numbers.has(number))]);
  }

  opened({ number, url, title }: EventOf<"pull_request_opened">): void {
    this.#all[1]((all) =>
      all.some((one) => one.number === number)
        ? all.map((one) => (one.number === number ? { ...one, url, title } : one))
        : [...all, { number, url, title, state: "open" }],
    );
  }

  changed(number: number, news: Partial<OpenedPullRequest>): void {
    this.#all[1]((all) => all.map((one) => (one.number === number ? { ...one, ...news } : one)));
  }
}
