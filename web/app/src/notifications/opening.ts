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

/** What the server answers itself, in a tab of its own: no page of ours is there to follow. */
const NO_PAGES = ["/api/", "/auth/", "/slack/"];

/** `pages`: the one that was looked at last comes first. */
export async function open(path: string, pages: readonly OpenPage[], anew: (path: string) => Promise<unknown>): Promise<void> {
  const ours = pages.filter(({ url }) => !NO_PAGES.some((prefix) => new URL(url).pathname.startsWith(prefix)));
  const page = ours.find(({ url }) => new URL(url).pathname === path) ?? ours[0];
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
