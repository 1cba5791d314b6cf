/**
 * Markup of a text that is still growing, at a cost that does not grow with it.
 *
 * Blocks that later text cannot change any more are settled: rendered once and left alone. Only
 * the tail behind them is lexed again. What comes out is the same as rendering the whole text at
 * once. No DOM: `markdown-view.ts` puts the markup on the page.
 *
 * The text is untrusted. Raw HTML in it is shown as text, images become links (fetching one would
 * tell its host who reads what), and `sanitiser.ts` lets only a short list of tags through on top.
 */
import { Lexer, Marked, type Token, type Tokens, type TokensList } from "marked";

/** Finds out which blocks are settled. */
export class BlockSplitter {
  #source = "";
  /** What has not settled. */
  #rest = "";
  /** Half a line end, perhaps. */
  #held = "";
  #links: Links = {};

  /**
   * Markup of the blocks that settled with what came, and of the tail that has not. `whole`: the
   * markup replaces all that was given before.
   */
  add(more: string, final: boolean): { settled: string; tail: string; whole: boolean } {
    const text = this.#held + more;
    this.#held = !final && text.endsWith("\r") ? "\r" : "";
    const lines = normalise(this.#held ? text.slice(0, -1) : text);
    this.#source += lines;
    this.#rest += lines;
    let { tokens, links } = lex(this.#rest, this.#links);
    // A reference may stand before its definition: then only the whole text tells.
    const whole = final && this.#source.length > this.#rest.length && Object.keys(links).length > 0;
    if (whole) {
      this.#rest = this.#source;
      ({ tokens, links } = lex(this.#source, {}));
    }
    const count = final ? tokens.length : settledCount(tokens);
    const settled = tokens.slice(0, count);
    let length = 0;
    for (const token of settled) {
      length += token.raw.length;
      // One in the tail may still be half an address, and the first definition of a name counts.
      const link = token.type === "def" ? links[(token as Tokens.Def).tag] : undefined;
      if (link) this.#links = { ...this.#links, [(token as Tokens.Def).tag]: link };
    }
    this.#rest = this.#rest.slice(length);
    return { settled: toHtml(settled, links), tail: toHtml(tokens.slice(count), links), whole };
  }
}

type Links = TokensList["links"];

function lex(source: string, known: Links): { tokens: Token[]; links: Links } {
  const lexer = new Lexer(marked.defaults);
  Object.assign(lexer.tokens.links, known);
  const tokens = lexer.lex(source);
  return { tokens, links: lexer.tokens.links };
}

/**
 * How many leading tokens later text cannot change. The last block may still grow, and one before
 * it may still take in the last if that is not a whole line yet (`***` may become `***bold`).
 */
function settledCount(tokens: readonly Token[]): number {
  let last = tokens.length - 1;
  while (last >= 0 && tokens[last]?.type === "space") last -= 1;
  const growing = tokens[last];
  if (!growing || last === 0) return 0;
  if (growing.raw.includes("\n") || tokens[last - 1]?.type === "space") return last;
  return last - 1;
}

function normalise(text: string): string {
  return text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
}

const marked = new Marked({ gfm: true, async: false });
marked.use({
  renderer: {
    // Also between paragraphs it has to be an element: settled blocks are.
    html: (token) => (token.block ? `<p>${escape(token.text.trim())}</p>\n` : escape(token.text)),
    // Without this, text behind a `<script>` or `<pre>` would go out as it came in.
    text(token) {
      return "tokens" in token && token.tokens ? this.parser.parseInline(token.tokens) : escapeText(token.text);
    },
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    // The page has headings of its own above these.
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    code: ({ text, lang }) => {
      const language = /^[a-z][a-z+]{0,15}(?=\s|$)/i.exec(lang ?? "")?.[0].toLowerCase();
      const named = language === undefined ? "" : ` class="language-${language}"`;
      return `<pre tabindex="0"><code${named}>${escape(text)}\n</code></pre>\n`;
    },
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    table(token) {
      // In a box of its own, since a wide table must scroll and not the page.
      const row = (cells: Tokens.TableCell[], tag: "th" | "td") =>
        `<tr>${cells
          .map((cell) => {
            const align = cell.align ? ` align="${cell.align}"` : "";
            return `<${tag}${align}>${this.parser.parseInline(cell.tokens)}</${tag}>`;
          })
          .join("")}</tr>`;
      const body = token.rows.map((cells) => row(cells, "td")).join("");
      return `<div tabindex="0"><table><thead>${row(token.header, "th")}</thead><tbody>${body}</tbody></table></div>\n`;
    },
  },
});

function toHtml(tokens: Token[], links: Links): string {
  return marked.parser(Object.assign(tokens, { links }));
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Leaves entities alone, which markdown lets people write. */
function escapeText(text: string): string {
  return text.replace(/[<>"']|&(?!(?:#\d{1,7}|#[Xx][\da-fA-F]{1,6}|\w+);)/g, escape);
}
