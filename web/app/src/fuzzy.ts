/**
 * Finding by a few typed letters: the letters in their order, anywhere; runs and beginnings of words
 * count more. Purely.
 */

const RUN = 3;
const WORD_START = 2;
const GAP = 0.1;

/** Undefined when it does not fit; the more, the better it fits. Words fit each by itself. */
export function score(query: string, text: string): number | undefined {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  let sum = 0;
  for (const word of words) {
    const one = wordScore(word, text.toLowerCase());
    if (one === undefined) return undefined;
    sum += one;
  }
  return sum;
}

function wordScore(word: string, text: string): number | undefined {
  // As one piece it is what was meant, most at the beginning of a word.
  let whole: number | undefined;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const fit = word.length * RUN + (startsWord(text, at) ? word.length * WORD_START : 0) - at * GAP;
    whole = whole === undefined ? fit : Math.max(whole, fit);
  }
  if (whole !== undefined) return whole;
  let sum = 0;
  let last = -1;
  for (const letter of word) {
    const at = text.indexOf(letter, last + 1);
    if (at < 0) return undefined;
    sum += 1 + (at === last + 1 ? 1 : 0) + (startsWord(text, at) ? 1 : 0) - (at - last - 1) * GAP;
    last = at;
  }
  // Letters strewn over a long text are there by chance.
  return sum > word.length * 0.8 ? sum : undefined;
}

function startsWord(text: string, at: number): boolean {
  return at === 0 || /[\s/\-_.]/.test(text.charAt(at - 1));
}

/** Those that fit, the best first; all in their own order without a query. */
export function rank<T>(query: string, items: readonly T[], textOf: (item: T) => string): T[] {
  if (query.trim() === "") return [...items];
  return items
    .flatMap((item) => {
      const fit = score(query, textOf(item));
      return fit === undefined ? [] : [{ item, fit }];
    })
    .sort((a, b) => b.fit - a.fit)
    .map(({ item }) => item);
}
