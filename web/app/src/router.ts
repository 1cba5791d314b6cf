/** Addresses of this app. A link is an ordinary `<a href>`: it can be copied, shared and opened anew. */
import { createSignal, type Accessor } from "solid-js";

export type Route =
  | { readonly page: "sessions" }
  | { readonly page: "new" }
  | { readonly page: "session"; readonly id: string }
  | { readonly page: "signin"; readonly error: string | undefined; readonly returnTo: string }
  | { readonly page: "missing" };

export function parseRoute(path: string, query: string): Route {
  if (path === "/") return { page: "sessions" };
  if (path === "/new") return { page: "new" };
  if (path === "/signin") {
    const given = new URLSearchParams(query);
    return { page: "signin", error: given.get("error") ?? undefined, returnTo: localPath(given.get("return_to")) };
  }
  const id = /^\/sessions\/([a-z0-9_]{1,80})$/.exec(path)?.[1];
  return id === undefined ? { page: "missing" } : { page: "session", id };
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
