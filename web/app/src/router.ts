/** Addresses of this app. A link is an ordinary `<a href>`: it can be copied, shared and opened anew. */
import { createSignal, type Accessor } from "solid-js";

export type Route =
  | { readonly page: "sessions" }
  | { readonly page: "new"; readonly repository: string | undefined }
  | { readonly page: "statistics"; readonly days: number; readonly repository: string | undefined }
  | { readonly page: "settings"; readonly section: SettingsSection; readonly repository: string | undefined }
  | { readonly page: "session"; readonly id: string }
  | { readonly page: "signin"; readonly error: string | undefined; readonly returnTo: string }
  | { readonly page: "missing" };

export const SETTINGS_SECTIONS = ["account", "repositories", "tokens", "integrations", "shortcuts", "audit"] as const;
export type SettingsSection = (typeof SETTINGS_SECTIONS)[number];

/** How far back statistics go, in days. */
export const WINDOWS = [7, 30, 90] as const;

const REPOSITORY = /^[\w.-]{1,100}\/[\w.-]{1,100}$/;

export function parseRoute(path: string, query: string): Route {
  if (path === "/") return { page: "sessions" };
  if (path === "/new") return { page: "new", repository: repositoryIn(query) };
  if (path === "/statistics") {
    const days = Number(new URLSearchParams(query).get("days"));
    return { page: "statistics", days: WINDOWS.find((known) => known === days) ?? 30, repository: repositoryIn(query) };
  }
  if (path === "/settings") return { page: "settings", section: "account", repository: undefined };
  const settings = /^\/settings\/(\w+)(?:\/(.+))?$/.exec(path);
  if (settings) {
    const section = SETTINGS_SECTIONS.find((known) => known === settings[1]);
    const repository = settings[2];
    if (section === undefined) return { page: "missing" };
    if (repository === undefined) return { page: "settings", section, repository };
    return section === "repositories" && REPOSITORY.test(repository)
      ? { page: "settings", section, repository }
      : { page: "missing" };
  }
  if (path === "/signin") {
    const given = new URLSearchParams(query);
    return { page: "signin", error: given.get("error") ?? undefined, returnTo: localPath(given.get("return_to")) };
  }
  const id = /^\/sessions\/([a-z0-9_]{1,80})$/.exec(path)?.[1];
  return id === undefined ? { page: "missing" } : { page: "session", id };
}

function repositoryIn(query: string): string | undefined {
  const repository = new URLSearchParams(query).get("repository");
  return repository !== null && REPOSITORY.test(repository) ? repository : undefined;
}

export const newSessionPath = (repository?: string): string =>
  repository === undefined ? "/new" : `/new?repository=${encodeURIComponent(repository)}`;

export const settingsPath = (section: SettingsSection, repository?: string): string =>
  repository === undefined ? `/settings/${section}` : `/settings/${section}/${repository}`;

export function statisticsPath(days: number, repository: string | undefined): string {
  const query = new URLSearchParams({ days: String(days), ...(repository !== undefined && { repository }) });
  return `/statistics?${query}`;
}

export const sessionPath = (id: string): string => `/sessions/${id}`;

export const signInPath = (returnTo: string): string =>
  returnTo === "/" ? "/signin" : `/signin?return_to=${encodeURIComponent(returnTo)}`;

const current = () => parseRoute(location.pathname, location.search);
const [route, setRoute] = createSignal<Route>(current());

export { route };

export function navigate(path: string, how: "push" | "replace" = "push"): void {
  if (how === "push") history.pushState(null, "", path);
  else history.replaceState(null, "", path);
  setRoute(current());
}

/** Follows links within the app without loading it anew. Anything unusual is the browser's. */
export function startRouter(): void {
  window.addEventListener("popstate", () => setRoute(current()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const anchor = event.target instanceof Element ? event.target.closest("a") : null;
    if (!anchor?.href || anchor.target || anchor.hasAttribute("download")) return;
    const url = new URL(anchor.href);
    if (url.origin !== location.origin || parseRoute(url.pathname, url.search).page === "missing") return;
    event.preventDefault();
    if (url.href !== location.href) navigate(url.pathname + url.search);
  });
}

/** Names the page in the tab. */
export function title(of: Accessor<string | undefined>): () => void {
  return () => {
    const name = of();
    document.title = name ? `${name} · Hosted agents` : "Hosted agents";
  };
}

function localPath(path: string | null): string {
  return path !== null && /^\/(?![/\\])/.test(path) ? path : "/";
}
