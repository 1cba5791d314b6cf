/**
 * One element that shows one growing text. It changes no more of the page than the text has
 * changed: settled blocks stay, letters are added to the last text, and anything else is made anew
 * from where it differs. So what somebody has selected in a text that grows stays selected, too.
 *
 * Blocks are in groups and groups in chapters, as the page is laid out by walking over siblings:
 * what is full and far from what is looked at is passed over as one box.
 */
import { growth, type Growth } from "./growth.ts";
import { BlockSplitter } from "./markdown.ts";
import { sanitise, sanitiseColours } from "./sanitiser.ts";

/** Settled blocks in one group, groups in one chapter: few to lay out anew, and few to pass over. */
const GROUP_SIZE = 12;
const CHAPTER_SIZE = 12;

/** Letters of Hebrew, Arabic and their neighbours; and the same, when it is the first letter at all. */
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;
const BEGINS_RIGHT_TO_LEFT = /^\P{L}*[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/u;

export class MarkdownView {
  readonly #root: HTMLElement;
  readonly #splitter = new BlockSplitter();
  #chapter = document.createElement("div");
  /** Settled blocks, then the tail. */
  #group = document.createElement("div");
  /** How many of them are settled, and how many of these have colours or will have them soon. */
  #settled = 0;
  #coloured = 0;
  #tail = "";

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#clear();
  }

  /** With `more` behind what was given before. */
  add(more: string, final: boolean): void {
    const { settled, tail, whole } = this.#splitter.add(more, final);
    if (whole) this.#clear();
    const grown = settled === "" ? growth(this.#tail, tail) : undefined;
    if (!grown || !grow(this.#group, grown)) this.#replace(settled, tail);
    else if (RIGHT_TO_LEFT.test(grown.text)) direct(this.#group.lastElementChild);
    this.#tail = tail;
  }

  #clear(): void {
    this.#chapter = document.createElement("div");
    this.#root.replaceChildren(this.#chapter);
    this.#open();
  }

  #open(): void {
    this.#group = document.createElement("div");
    this.#chapter.append(this.#group);
    this.#settled = 0;
    this.#coloured = 0;
  }

  #replace(settled: string, tail: string): void {
    const blocks = settled === "" ? [] : [...sanitise(settled).children];
    const rest = tail === "" ? [] : [...sanitise(tail).children];
    [...blocks, ...rest].forEach(direct);
    const first = this.#settled;
    replaceFrom(this.#group, first, [...blocks, ...rest]);
    // Those that were on the page already have stayed.
    const shown = [...this.#group.children].slice(first);
    for (const block of shown.slice(0, blocks.length)) {
      if (this.#settled >= GROUP_SIZE) this.#close();
      if (block.parentNode !== this.#group) this.#group.append(block);
      this.#settled += 1;
    }
    for (const block of shown.slice(blocks.length)) if (block.parentNode !== this.#group) this.#group.append(block);
    for (const block of [...this.#group.children].slice(this.#coloured, this.#settled)) colour(block);
    this.#coloured = this.#settled;
  }

  /** Full: while it is far from what is looked at, it is not even laid out. */
  #close(): void {
    const group = this.#group;
    const plain = [...group.children].slice(this.#coloured, this.#settled);
    group.className = "settled";
    if (plain.length > 0) whenShown(group, () => plain.forEach(colour));
    if (this.#chapter.childElementCount >= CHAPTER_SIZE) {
      this.#chapter.className = "settled";
      this.#chapter = document.createElement("div");
      this.#root.append(this.#chapter);
    }
    this.#open();
  }
}

/**
 * Has a block be read in the direction of its own language; code is not. Said outright: with
 * `dir=auto`, Chromium does not look again when an element comes in place of a text.
 */
function direct(block: Element | null): void {
  if (!block || block.localName === "pre" || !BEGINS_RIGHT_TO_LEFT.test(block.textContent)) return;
  block.setAttribute("dir", "rtl");
}

/** False when the page is not as the markup says, as when it holds what no markup can say. */
function grow(group: Element, { text, within, before }: Growth): boolean {
  let element: Element | null = group;
  for (const tag of within) {
    element = element.lastElementChild;
    if (element?.localName !== tag) return false;
  }
  const last = element.lastChild;
  if (!(last instanceof Text) || !last.data.endsWith(before)) return false;
  last.insertData(last.length - before.length, text);
  return true;
}

/** Has `parent` hold `fresh` from its child `at` on, and keeps what is the same. */
function replaceFrom(parent: Element, at: number, fresh: readonly ChildNode[]): void {
  let here = parent.childNodes[at] ?? null;
  for (const node of fresh) {
    if (!here) {
      parent.append(node);
      continue;
    }
    const next: ChildNode | null = here.nextSibling;
    become(here, node);
    here = next;
  }
  while (here) {
    const next: ChildNode | null = here.nextSibling;
    here.remove();
    here = next;
  }
}

function become(here: ChildNode, fresh: ChildNode): void {
  if (here.isEqualNode(fresh)) return;
  if (here instanceof Text && fresh instanceof Text) here.data = fresh.data;
  else if (here instanceof Element && here.cloneNode().isEqualNode(fresh.cloneNode())) {
    replaceFrom(here, 0, [...fresh.childNodes]);
  } else here.replaceWith(fresh);
}

/** A long text that comes at once is mostly far from what is looked at, and may stay there. */
function whenShown(group: HTMLElement, show: () => void): void {
  const look = () => {
    if (!group.firstElementChild?.checkVisibility({ contentVisibilityAuto: true })) return;
    group.removeEventListener("contentvisibilityautostatechange", look);
    show();
  };
  group.addEventListener("contentvisibilityautostatechange", look);
  // What is near from the beginning is not told of by every browser.
  requestAnimationFrame(() => requestAnimationFrame(look));
}

/** Longer code stays plain: nobody waits for colours. */
const MAX_COLOURED = 24 * 1024;

/** Colours the code of a block that has closed, when there is time. */
function colour(block: Element): void {
  for (const code of block.querySelectorAll('code[class^="language-"]')) {
    const text = code.textContent ?? "";
    if (text.length > MAX_COLOURED) continue;
    whenIdle(async () => {
      const { highlight } = await import("./highlight.ts");
      const markup = await highlight(text, code.className.slice("language-".length));
      if (markup === undefined || !code.isConnected) return;
      code.replaceChildren(...sanitiseColours(markup).childNodes);
    });
  }
}

function whenIdle(work: () => Promise<void>): void {
  // Without colours it reads as well: nothing is said when they cannot be loaded.
  const start = () => void work().catch(() => undefined);
  if ("requestIdleCallback" in window) window.requestIdleCallback(start, { timeout: 1_000 });
  else setTimeout(start, 50);
}
