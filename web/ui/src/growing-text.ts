/**
 * A text that arrives in pieces. Whoever follows it reads what is new without a look at what is
 * not: a string of 200 kB that is made anew with every token would cost more than the token does.
 */
import { createSignal } from "solid-js";

/** Short pieces are joined to this. */
const PIECE_UNITS = 1_024;

interface Piece {
  readonly at: number;
  text: string;
}

export class GrowingText {
  #whole = "";
  #pieces: Piece[] = [];
  #revision = 0;
  readonly #changed = createSignal(undefined, { equals: false });

  get length(): number {
    this.#changed[0]();
    return this.#whole.length;
  }

  /** Another one when the text is not what it was with more behind it. */
  get revision(): number {
    this.#changed[0]();
    return this.#revision;
  }

  text(): string {
    this.#changed[0]();
    return this.#whole;
  }

  append(text: string): void {
    const last = this.#pieces.at(-1);
    if (last && last.text.length < PIECE_UNITS) last.text += text;
    else this.#pieces.push({ at: this.#whole.length, text });
    this.#whole += text;
    this.#changed[1]();
  }

  replace(text: string): void {
    if (text.startsWith(this.#whole)) {
      if (text.length > this.#whole.length) this.append(text.slice(this.#whole.length));
      return;
    }
    this.#pieces = [{ at: 0, text }];
    this.#whole = text;
    this.#revision += 1;
    this.#changed[1]();
  }

  /** What stands from `offset` on. */
  since(offset: number): string {
    const first = this.#pieces.findLastIndex(({ at }) => at <= offset);
    const pieces = this.#pieces.slice(Math.max(0, first));
    return pieces
      .map(({ text }) => text)
      .join("")
      .slice(offset - (pieces[0]?.at ?? 0));
  }
}
