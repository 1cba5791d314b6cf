/**
 * Shows a notification by the system: by the service worker, which phones insist on, else by the
 * page itself.
 */
import { navigate } from "../router.ts";
import { opened, type Opening } from "./opening.ts";
import workerUrl from "./worker.ts?worker&url";

interface PolicyFactory {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string };
}

export interface Told {
  readonly title: string;
  readonly body: string;
  /** What the same is told by: several pages tell it once. */
  readonly tag: string;
  /** Of the session that it is about. */
  readonly path: string;
}

let worker: Promise<ServiceWorkerRegistration | undefined> | undefined;

const follow = (event: MessageEvent): void => {
  const path = opened(event.data);
  if (path !== undefined) navigate(path);
};

/**
 * Any page may be the one that a press leads to, whether or not it shows notifications itself.
 * Listening twice is listening once.
 */
export function followPresses(): void {
  if ("serviceWorker" in navigator) navigator.serviceWorker.addEventListener("message", follow);
}

/** Once there may be notifications; without it they are shown as well as the page can. */
export function startWorker(): void {
  worker ??= register().catch(() => undefined);
}

async function register(): Promise<ServiceWorkerRegistration | undefined> {
  if (!("serviceWorker" in navigator)) return undefined;
  const { trustedTypes } = globalThis as { trustedTypes?: PolicyFactory };
  // One script of ours, known when this was built.
  const policy = trustedTypes?.createPolicy("notification-worker", { createScriptURL: () => workerUrl });
  const registration = await navigator.serviceWorker.register(policy?.createScriptURL(workerUrl) ?? workerUrl);
  const coming = registration.installing ?? registration.waiting;
  if (!registration.active && coming) await settled(coming);
  return registration;
}

function settled(coming: ServiceWorker): Promise<void> {
  return new Promise((done) => {
    const look = () => {
      if (coming.state === "activated" || coming.state === "redundant") done();
    };
    coming.addEventListener("statechange", look);
    look();
  });
}

export async function showNotification(told: Told): Promise<void> {
  const data: Opening = { type: "open", path: told.path };
  const { title, body, tag } = told;
  try {
    const registration = await worker;
    if (!registration?.active) throw new Error("no worker");
    for (const earlier of await registration.getNotifications()) {
      if (opened(earlier.data) === told.path && earlier.tag !== tag) earlier.close();
    }
    await registration.showNotification(title, { body, tag, data });
  } catch {
    showByPage(told);
  }
}

function showByPage({ title, body, tag, path }: Told): void {
  try {
    const shown = new Notification(title, { body, tag });
    shown.onclick = () => {
      window.focus();
      navigate(path);
      shown.close();
    };
  } catch {
    // A phone without a worker, as in a private window.
  }
}
