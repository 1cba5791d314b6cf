/** Where the time of one turn went: a bar for each wait, on one scale. */
import { For, createMemo, type JSX } from "solid-js";

import type { Step, StepName } from "../protocol.ts";
import { duration } from "./duration.ts";

const NAMES: Record<StepName, string> = {
  claim: "Claim a runner",
  image: "Build the image",
  restore: "Restore",
  sync: "Sync the branch",
  typing: "Typing",
  write_wait: "Write waited",
  snapshot: "Snapshot",
  agent_up: "Agent up",
  first_token: "First token",
  run: "Run",
  push: "Push",
  pull_request: "Pull request",
};

export function Waterfall(props: { steps: readonly Step[] }): JSX.Element {
  const bars = createMemo(() => {
    const steps = [...props.steps].sort((a, b) => a.started_at - b.started_at);
    const begin = Math.min(...steps.map((step) => step.started_at));
    const end = Math.max(...steps.map((step) => step.started_at + step.ms));
    const whole = Math.max(1, end - begin);
    return steps.map((step) => ({
      step,
      left: `${((step.started_at - begin) / whole) * 100}%`,
      width: `${(step.ms / whole) * 100}%`,
    }));
  });
  return (
    <ol class="waterfall">
      <For each={bars()}>
        {(bar) => (
          <li title={bar.step.detail ?? ""}>
            <span class="bar-name">{NAMES[bar.step.name] ?? bar.step.name}</span>
            <span class="bar-ms">{duration(bar.step.ms)}</span>
            <span class="bar-track" aria-hidden="true">
              <span class={`bar ${bar.step.name}`} style={{ "margin-left": bar.left, width: bar.width }} />
            </span>
          </li>
        )}
      </For>
    </ol>
  );
}
