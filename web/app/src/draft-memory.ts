/** What a browser remembers of a session that is being written, beside its text. */
import type { Artifact } from "#ui/protocol.ts";

import type { Made } from "./draft-session.ts";
import { remember, remembered } from "./storage.ts";

export interface DraftMemory {
  readonly repository: string;
  readonly branch: string;
  /** `provider/name`, empty for the default. */
  readonly model: string;
  readonly environment: string;
  readonly made: Made | undefined;
  readonly artifacts: readonly Artifact[];
}

const KEY = "draft:new:choices";

export function keepDraft(draft: DraftMemory): void {
  remember(KEY, JSON.stringify(draft));
}

/** Storage is written by other versions of this page too, so everything in it is doubted. */
export function keptDraft(): DraftMemory {
  const kept = parsed(remembered(KEY));
  const text = (key: string) => (typeof kept[key] === "string" ? kept[key] : "");
  const made = record(kept["made"]);
  return {
    repository: text("repository"),
    branch: text("branch"),
    model: text("model"),
    environment: text("environment"),
    made:
      typeof made["id"] === "string" && typeof made["choice"] === "string"
        ? { id: made["id"], choice: made["choice"] }
        : undefined,
    artifacts: Array.isArray(kept["artifacts"]) ? kept["artifacts"].filter(isArtifact) : [],
  };
}

function parsed(text: string): Record<string, unknown> {
  try {
    return record(JSON.parse(text));
  } catch {
    return {};
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function isArtifact(value: unknown): value is Artifact {
  const { id, name, media_type: type, bytes } = record(value);
  return typeof id === "string" && typeof name === "string" && typeof type === "string" && typeof bytes === "number";
}
