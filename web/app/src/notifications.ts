/**
 * The system's own notifications: a turn of mine is done and nobody looks at the page. The browser is
 * asked for permission only by a button that says so.
 */
import { createSignal } from "solid-js";

import type { Person, SessionId, SessionSummary } from "#ui/protocol.ts";

import { notify } from "./notices.ts";
import { followPresses, showNotification, startWorker } from "./notifications/system.ts";
import { sessionPath } from "./router.ts";
import { remember, remembered } from "./storage.ts";

const WANTED = "notifications";
const OFFERED = "notifications:offered";

export type Permission = NotificationPermission | "unsupported";

const current = (): Permission => ("Notification" in globalThis ? Notification.permission : "unsupported");

const [permission, setPermission] = createSignal<Permission>(current());
const [wanted, setWanted] = createSignal(remembered(WANTED) !== "");

export { permission };

export const notificationsOn = (): boolean => wanted() && permission() === "granted";

/** Shows them for whoever has turned them on before; any page follows a press of one. */
export function startNotifications(): void {
  followPresses();
  if (notificationsOn()) startWorker();
}

/** Called by a button and by nothing else. */
export async function turnNotificationsOn(): Promise<void> {
  if (permission() === "unsupported") return;
  if (permission() !== "granted") setPermission(await Notification.requestPermission());
  setWanted(true);
  remember(WANTED, "yes");
  startNotifications();
}

export function turnNotificationsOff(): void {
  setWanted(false);
  remember(WANTED, "");
}

/** Sessions that this page prompted; of others, those count that the person started. */
const prompted = new Set<SessionId>();

/** Somebody prompted here. After the first time, the page offers to tell when it is done. */
export function notePrompted(id: SessionId): void {
  prompted.add(id);
  if (permission() !== "default" || wanted() || remembered(OFFERED) !== "") return;
  remember(OFFERED, "yes");
  notify("You can leave this page while the agent works.", {
    kind: "news",
    action: { label: "Notify me when it is done", run: () => void turnNotificationsOn() },
  });
}

const TITLES: Partial<Record<SessionSummary["state"], string>> = { idle: "Done", failed: "Failed" };

export function tellOfEnd(before: SessionSummary, after: SessionSummary, me: Person): void {
  const words = TITLES[after.state];
  const ended = before.state === "working" && words !== undefined;
  const mine = after.created_by.id === me.id || prompted.has(after.id);
  if (!ended || !mine || !notificationsOn() || document.visibilityState === "visible") return;
  void showNotification({
    title: `${words}: ${after.title || "Untitled session"}`,
    body: after.repository,
    tag: `${after.id}:${after.updated_at}`,
    path: sessionPath(after.id),
  });
}
