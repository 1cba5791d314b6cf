/** Who is signed in. */
import { createSignal } from "solid-js";

import type { Me } from "#ui/protocol.ts";

import { ApiError, api, messageOf } from "./api.ts";
import { navigate, route, signInPath } from "./router.ts";
import { forgetSessions } from "./sessions.ts";

export type SignIn =
  | { readonly phase: "unknown" }
  | { readonly phase: "in"; readonly me: Me }
  | { readonly phase: "out" }
  | { readonly phase: "failed"; readonly message: string };

const [signIn, setSignIn] = createSignal<SignIn>({ phase: "unknown" });

export { signIn };

export async function loadMe(): Promise<void> {
  setSignIn({ phase: "unknown" });
  try {
    setSignIn({ phase: "in", me: await api.me() });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 401)) {
      setSignIn({ phase: "failed", message: messageOf(error) });
    }
  }
}

/** Nobody is signed in any more: to the sign-in page, and back here afterwards. */
export function signedOut(): void {
  setSignIn({ phase: "out" });
  forgetSessions();
  if (route().page !== "signin") navigate(signInPath(location.pathname + location.search), "replace");
}

export async function signOut(): Promise<void> {
  await api.signOut();
  setSignIn({ phase: "out" });
  forgetSessions();
  navigate("/signin");
}
