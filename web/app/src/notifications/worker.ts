/**
 * The service worker, which shows notifications where pages may not, as on phones, and leads to
 * their session. It answers no request and keeps nothing: its scope holds no page.
 */
import { open, opened, type OpenPage } from "./opening.ts";

/** What there is in a service worker, as far as it is used: the library's types of it exclude those of a page. */
interface Scope {
  readonly clients: {
    matchAll(which: { type: "window"; includeUncontrolled: true }): Promise<readonly OpenPage[]>;
    openWindow(url: string): Promise<unknown>;
  };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install", listener: () => void): void;
  addEventListener(type: "notificationclick", listener: (event: Click) => void): void;
}

interface Click {
  readonly notification: Notification;
  waitUntil(work: Promise<unknown>): void;
}

const worker = globalThis as unknown as Scope;

worker.addEventListener("install", () => void worker.skipWaiting());

worker.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const path = opened(event.notification.data);
  if (path === undefined) return;
  const pages = worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  event.waitUntil(pages.then((all) => open(path, all, (url) => worker.clients.openWindow(url))));
});
