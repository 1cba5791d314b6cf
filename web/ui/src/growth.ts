/**
 * What is new in markup, when it is nothing but letters at the end of its last text: most of what
 * arrives while somebody reads along. Pure; `markdown-view.ts` adds it to the page.
 */

export interface Growth {
  /** Plain text: no markup, no entity. */
  readonly text: string;
  /** The elements that it is in, the outermost first. */
  readonly within: readonly string[];
  /** White space that its text already has behind it. */
  readonly before: string;
}

/** Undefined when more than that has changed. */
export function growth(old: string, grown: string): Growth | undefined {
  const more = grown.length - old.length;
  if (more <= 0) return undefined;
  let same = 0;
  while (same < old.length && old.charCodeAt(same) === grown.charCodeAt(same)) same += 1;
  const behind = old.slice(same);
  const text = grown.slice(same, same + more);
  if (/[<>&]/.test(text) || !grown.endsWith(behind)) return undefined;
  const closed = /^(\s*)((?:<\/[a-z][a-z0-9]*>\s*)+)$/.exec(behind);
  const [, before = "", tags = ""] = closed ?? [];
  return closed ? { text, before, within: (tags.match(/[a-z][a-z0-9]*/g) ?? []).reverse() } : undefined;
}
