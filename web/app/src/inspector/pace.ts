/**
 * How often something is asked for that keeps changing: when it is wanted and somebody looks, one
 * at a time, and no sooner than after a rest. What is wanted meanwhile is asked for once.
 */
export class Pace {
  readonly #ask: () => Promise<unknown>;
  readonly #restMs: number;
  #wanted = false;
  #looking = false;
  #asking = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ask: () => Promise<unknown>, restMs: number) {
    this.#ask = ask;
    this.#restMs = restMs;
  }

  want(): void {
    this.#wanted = true;
    this.#go();
  }

  /** It was asked for otherwise. */
  unwant(): void {
    this.#wanted = false;
  }

  look(looking: boolean): void {
    this.#looking = looking;
    this.#go();
  }

  end(): void {
    this.#wanted = false;
    clearTimeout(this.#timer);
  }

  #go(): void {
    if (!this.#wanted || !this.#looking || this.#asking || this.#timer !== undefined) return;
    this.#wanted = false;
    this.#asking = true;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#go();
    }, this.#restMs);
    const done = () => {
      this.#asking = false;
      this.#go();
    };
    this.#ask().then(done, done);
  }
}
