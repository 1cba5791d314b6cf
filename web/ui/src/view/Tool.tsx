/** One line per tool call; what it was given and what came out is behind it. */
import { For, Show, createMemo, type JSX } from "solid-js";

import type { Part } from "../timeline/item.ts";
import { duration } from "./duration.ts";
import { Icon, Spinner } from "./Icon.tsx";
import { createKept } from "./kept.ts";
import { detail, plainOutput, summarise } from "./tool.ts";

/** While it grows, only this much of the end is laid out. */
const LIVE_TAIL = 16 * 1024;

export function Tool(props: { part: Part }): JSX.Element {
  const [open, setOpen] = createKept(props.part, false);
  const summary = createMemo(() => summarise(props.part.tool, props.part.title()));
  const finished = () => {
    const state = props.part.state();
    return state.phase === "finished" ? state : undefined;
  };
  const failure = () => {
    const state = finished();
    return state?.result === "failed" ? state.message : undefined;
  };
  return (
    <details class="tool" open={open()} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <Show when={finished()} fallback={<Spinner />}>
          <Icon name={failure() === undefined ? summary().icon : "warning"} class={failure() === undefined ? "" : "bad"} />
        </Show>
        <span class="tool-title">
          <Show when={summary().verb}>
            <span class="tool-verb">{summary().verb}</span>{" "}
          </Show>
          <span class="tool-subject">{summary().subject}</span>
        </span>
        <Show when={finished()} fallback={<span class="tool-time">running</span>}>
          {(state) => (
            <span class="tool-time">
              {failure() === undefined ? "" : "failed · "}
              {duration(state().at - props.part.startedAt)}
            </span>
          )}
        </Show>
        <Icon name="chevron" class="turns" />
      </summary>
      <Show when={open()}>
        <ToolDetails part={props.part} failure={failure()} />
      </Show>
    </details>
  );
}

function ToolDetails(props: { part: Part; failure: string | undefined }): JSX.Element {
  const given = detail(props.part.tool, props.part.input);
  const output = createMemo(() => {
    const text = props.part.text();
    const live = props.part.state().phase === "growing";
    return plainOutput(live ? text.slice(-LIVE_TAIL) : text);
  });
  return (
    <div class="tool-body">
      <Show when={given.command}>{(command) => <pre class="command" tabindex="0">{command()}</pre>}</Show>
      <Show when={given.rest.length > 0}>
        <dl class="arguments">
          <For each={given.rest}>
            {([name, value]) => (
              <>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </>
            )}
          </For>
        </dl>
      </Show>
      <Show when={given.change}>
        {(change) => (
          <pre class="change" tabindex="0" aria-label="Changed lines">
            <For each={change().removed}>{(line) => <del>{`- ${line}\n`}</del>}</For>
            <For each={change().added}>{(line) => <ins>{`+ ${line}\n`}</ins>}</For>
          </pre>
        )}
      </Show>
      <Show when={output()}>
        <pre class="output" tabindex="0" aria-label="Output">
          {output()}
        </pre>
      </Show>
      <Show when={props.failure}>{(message) => <p class="bad">{message()}</p>}</Show>
      <Show when={!output() && props.failure === undefined && props.part.state().phase === "finished"}>
        <p class="quiet">No output.</p>
      </Show>
    </div>
  );
}
