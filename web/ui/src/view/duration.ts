/** Times as people read them. */

/** "412 ms", "3.2 s", "3 min 12 s", "2 h 5 min". */
export function duration(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1_000) return `${whole} ms`;
  if (whole < 59_950) {
    const seconds = whole / 1_000;
    return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  }
  const seconds = Math.round(whole / 1_000);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
}

/** "now", "5 min", "3 h", "2 d", then the date. */
export function age(at: number, now: number): string {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  if (minutes < 7 * 24 * 60) return `${Math.floor(minutes / (24 * 60))} d`;
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

/** "just now", "5 min ago", "2 d ago", then "on" the date. */
export function ago(at: number, now: number): string {
  const words = age(at, now);
  if (words === "now") return "just now";
  return now - at < 7 * 24 * 60 * 60_000 ? `${words} ago` : `on ${words}`;
}

export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}
