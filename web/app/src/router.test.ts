import { beforeAll, expect, test, vi } from "vitest";

let parseRoute: (path: string, query: string) => unknown;

beforeAll(async () => {
  vi.stubGlobal("location", { pathname: "/", search: "" });
  ({ parseRoute } = await import("./router.ts"));
});

test("every page has its address", () => {
  expect(parseRoute("/", "")).toEqual({ page: "sessions" });
  expect(parseRoute("/new", "")).toEqual({ page: "new" });
  expect(parseRoute("/new", "?repository=acme%2Fstore")).toEqual({ page: "new", repository: "acme/store" });
  expect(parseRoute("/statistics", "?days=7")).toEqual({ page: "statistics", days: 7 });
  expect(parseRoute("/statistics", "?days=8")).toEqual({ page: "statistics", days: 30 });
  expect(parseRoute("/settings", "")).toEqual({ page: "settings", section: "account" });
  expect(parseRoute("/settings/repositories/acme/store", "")).toEqual({
    page: "settings",
    section: "repositories",
    repository: "acme/store",
  });
  expect(parseRoute("/sessions/ses_01h", "")).toEqual({ page: "session", id: "ses_01h" });
});

test("what is no session's address is no page", () => {
  for (const path of ["/settings/nothing", "/settings/tokens/a/b", "/settings/repositories/a", "/sessions/", "/sessions/a/b", "/sessions/..%2fx", "/nothing", "/auth/github/login"]) {
    expect(parseRoute(path, ""), path).toEqual({ page: "missing" });
  }
});

test("signing in leads back to where somebody wanted to go, on this host only", () => {
  expect(parseRoute("/signin", "?error=denied")).toEqual({ page: "signin", error: "denied", returnTo: "/" });
  expect(parseRoute("/signin", "?return_to=%2Fsessions%2Fses_1")).toMatchObject({ returnTo: "/sessions/ses_1" });
  for (const elsewhere of ["//evil.example", "https://evil.example", "/\\evil.example"]) {
    const query = `?return_to=${encodeURIComponent(elsewhere)}`;
    expect(parseRoute("/signin", query), elsewhere).toMatchObject({ returnTo: "/" });
  }
});
