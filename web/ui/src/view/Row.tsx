/** What happened around the agent's own words, one line each. */
import { For, Match, Show, Switch, type JSX } from "solid-js";

import type { FileChange, Opener } from "../protocol.ts";
import type { EventOf, Row, Sandbox } from "../timeline.ts";
import { displayName } from "./Avatar.tsx";
import { duration } from "./duration.ts";
import { Icon, Spinner } from "./Icon.tsx";

export function SystemRow(props: { row: Row }): JSX.Element {
  const as = <T extends Row["type"]>(type: T) =>
    props.row.type === type ? (props.row as EventOf<T>) : undefined;
  return (
    <Switch>
      <Match when={as("notice")}>
        {(row) => (
          <p class="row">
            <Icon name="info" />
            <span>{row().message}</span>
          </p>
        )}
      </Match>
      <Match when={as("session_archived")}>
        {(row) => (
          <p class="row">
            <Icon name="archive" />
            <span>{displayName(row().by)} archived this session.</span>
          </p>
        )}
      </Match>
      <Match when={as("pushed")}>{(row) => <Pushed row={row()} />}</Match>
      <Match when={as("pull_request_opened")}>
        {(row) => (
          <a class="card pull-request" href={webAddress(row().url)} target="_blank" rel="noopener noreferrer">
            <Icon name="pull" />
            <span class="card-main">
              <strong>{row().title}</strong>
              <span class="quiet">
                Pull request #{row().number} opened by {openerName(row().by)}
              </span>
            </span>
            <span class="card-action">Open</span>
          </a>
        )}
      </Match>
    </Switch>
  );
}

function Pushed(props: { row: EventOf<"pushed"> }): JSX.Element {
  return (
    <details class="tool pushed">
      <summary>
        <Icon name="commit" />
        <span class="tool-title">
          Pushed <code>{props.row.commit.slice(0, 7)}</code> to <code>{props.row.branch}</code>
        </span>
        <ChangeCount files={props.row.files} />
        <Icon name="chevron" class="turns" />
      </summary>
      <FileList files={props.row.files} />
    </details>
  );
}

export function ChangeCount(props: { files: readonly FileChange[] }): JSX.Element {
  const sum = (of: "additions" | "deletions") => props.files.reduce((total, file) => total + (file[of] ?? 0), 0);
  return (
    <span class="count">
      <span class="quiet">{props.files.length === 1 ? "1 file" : `${props.files.length} files`}</span>{" "}
      <span class="added">+{sum("additions")}</span> <span class="removed">−{sum("deletions")}</span>
    </span>
  );
}

export function FileList(props: { files: readonly FileChange[] }): JSX.Element {
  return (
    <ul class="files">
      <For each={props.files}>
        {(file) => (
          <li>
            <span class="path" title={file.path}>
              <bdi>{file.path}</bdi>
            </span>
            <span class="count">
              <Show when={file.additions !== null} fallback={<span class="quiet">binary</span>}>
                <span class="added">+{file.additions}</span> <span class="removed">−{file.deletions}</span>
              </Show>
            </span>
          </li>
        )}
      </For>
    </ul>
  );
}

export function SandboxRow(props: { sandbox: Sandbox }): JSX.Element {
  const state = () => props.sandbox.state();
  const ready = () => {
    const now = state();
    return now.phase === "ready" ? now : undefined;
  };
  const lost = () => {
    const now = state();
    return now.phase === "lost" ? now : undefined;
  };
  return (
    <p class="row" classList={{ bad: lost() !== undefined }}>
      <Switch>
        <Match when={state().phase === "starting"}>
          <Spinner />
          <span>Starting a sandbox…</span>
        </Match>
        <Match when={ready()}>
          {(is) => (
            <>
              <Icon name="box" />
              <span>
                Sandbox ready in {duration(is().at - props.sandbox.startedAt)}
                <span class="quiet">
                  {" "}
                  · {is().fromImage ? "from the image, " : ""}at <code>{is().commit.slice(0, 7)}</code>
                </span>
              </span>
            </>
          )}
        </Match>
        <Match when={lost()}>
          {(is) => (
            <>
              <Icon name="warning" />
              <span>Sandbox lost: {is().reason}. The next prompt starts another.</span>
            </>
          )}
        </Match>
      </Switch>
    </p>
  );
}

/** An address that is followed must be one of the web, whatever the log says. */
export function webAddress(url: string): string | undefined {
  return /^https?:\/\//i.test(url) ? url : undefined;
}

function openerName(opener: Opener): string {
  return opener.kind === "user" ? displayName(opener.person) : "the App";
}
