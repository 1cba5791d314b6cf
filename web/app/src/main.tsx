import { render } from "solid-js/web";

import { onSignedOut } from "./api.ts";
import { App } from "./App.tsx";
import { applyAppearance } from "./appearance.ts";
import { followKeyboard } from "./keyboard.ts";
import { signedOut } from "./me.ts";
import { startRouter } from "./router.ts";
import "./styles/index.css";

applyAppearance();
followKeyboard();
startRouter();
onSignedOut(signedOut);

const root = document.getElementById("app");
if (root) render(() => <App />, root);
