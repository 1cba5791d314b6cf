/** Where somebody comes to who presses a notification: a page that is open already, or a new one. */

/** A page of ours that is open somewhere. */
export interface OpenPage {
  readonly url: string;
  focus(): Promise<unknown>;
  postMessage(message: Opening): void;
}

export interface Opening {
  readonly type: "open";
  readonly path: string;
}

/** `pages`: the one that was looked at last comes first. */
export async function open(path: string, pages: readonly OpenPage[], anew: (path: string) => Promise<unknown>): Promise<void> {
  const page = pages.find(({ url }) => new URL(url).pathname === path) ?? pages[0];
  if (!page) {
    await anew(path);
    return;
  }
  page.postMessage({ type: "open", path });
  await page.focus();
}

/** The session that a message of the worker's names. */
export function opened(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  const { type, path } = message as Partial<Opening>;
  return type === "open" && typeof path === "string" && /^\/sessions\/[a-z0-9_]{1,80}$/.test(path) ? path : undefined;
}
