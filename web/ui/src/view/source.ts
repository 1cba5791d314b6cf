/** Where prompts come from, in a word and a picture. */
import type { Source } from "../protocol.ts";
import type { IconName } from "./Icon.tsx";

export const SOURCES: Readonly<Record<Source, { readonly icon: IconName; readonly label: string }>> = {
  web: { icon: "globe", label: "Web" },
  api: { icon: "terminal", label: "API" },
  github: { icon: "pull", label: "GitHub" },
  slack: { icon: "chat", label: "Slack" },
  extension: { icon: "puzzle", label: "Browser extension" },
  editor: { icon: "code", label: "Editor" },
};
