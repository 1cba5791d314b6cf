import type { JSX } from "solid-js";

import type { SessionState } from "#ui/protocol.ts";

const NAMES: Record<SessionState, string> = {
  warming: "Starting",
  working: "Working",
  idle: "Idle",
  failed: "Failed",
  archived: "Archived",
};

export function StateBadge(props: { state: SessionState }): JSX.Element {
  return (
    <span class={`state ${props.state}`}>
      <span class="state-dot" aria-hidden="true" />
      {NAMES[props.state]}
    </span>
  );
}
