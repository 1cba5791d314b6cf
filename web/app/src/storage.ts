/** What this browser remembers: drafts and the appearance. Storage may be full or forbidden. */

export const draftKey = (session: string): string => `draft:${session}`;

export function remember(key: string, value: string): void {
  try {
    if (value === "") localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // The page works without.
  }
}

export function remembered(key: string): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}
