/**
 * How many files a session has changed: as the log recorded it at the end of a prompt, or as
 * somebody has seen it since, while a prompt runs.
 */
import { createSignal, type Accessor } from "solid-js";

import type { Changes } from "#ui/protocol.ts";
import type { Timeline } from "#ui/timeline.ts";

export interface ChangedCount {
  /** Undefined while nothing is known of any. */
  readonly files: Accessor<number | undefined>;
  /** Changes as they were while their prompt ran. */
  saw(changes: Changes): void;
}

export function createChangedCount(timeline: Accessor<Timeline>): ChangedCount {
  const [seen, setSeen] = createSignal<{ changes: Changes; after: unknown } | undefined>();
  const files = () => {
    const kept = timeline().kept();
    const { changes, after } = seen() ?? {};
    // What was kept since is newer, and so is the record of the same prompt.
    if (changes && after === kept && changes.prompt !== kept?.prompt) return changes.files.length + changes.omitted;
    return kept?.files ?? timeline().pushed()?.files.length;
  };
  return {
    files,
    saw(changes) {
      // Those of one prompt alone say nothing about the session.
      if (changes.scope === "session") setSeen({ changes, after: timeline().kept() });
    },
  };
}
