/** What happened around the agent's own words, one line each. */
import { For, Match, Show, Switch, type JSX } from "solid-js";

import type { FileChange, Opener, PullRequestState, ReviewVerdict } from "../protocol.ts";
import type { EventOf, Row, Sandbox } from "../timeline/item.ts";
import { displayName } from "./Avatar.tsx";
import { duration } from "./duration.ts";
import { useSurroundings } from "./context.ts";
import { FileView } from "./Files.tsx";
import { Icon, Spinner, type IconName } from "./Icon.tsx";

export function SystemRow(props: { row: Row }): JSX.Element {
  const as = <T extends Row["type"]>(type: T) =>
    props.row.type === type ? (props.row as EventOf<T>) : undefined;
  const surroundings = useSurroundings();
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
      <Match when={as("update")}>
        {(row) => (
          <p class="row update">
            <Icon name="chat" />
            <span>{row().text}</span>
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
      <Match when={as("limit_reached")}>
        {(row) => (
          <Line icon="warning" bad>
            {row().message}
          </Line>
        )}
      </Match>
      <Match when={as("session_created")?.parent}>
        {(parent) => (
          <Line icon="fork">
            Forked from <a href={surroundings.session(parent().session)}>another session</a>, with its files and its
            conversation.
          </Line>
        )}
      </Match>
      <Match when={as("prompt_resumed")}>
        <Line icon="box">Its sandbox was lost. It went on in a new sandbox.</Line>
      </Match>
      <Match when={as("snapshotted")}>
        <Line icon="archive">Snapshot: the files and the conversation are kept as they are here.</Line>
      </Match>
      <Match when={as("sandbox_slept")}>
        <Line icon="moon">The sandbox fell asleep. Its files are kept, and the next prompt wakes it.</Line>
      </Match>
      <Match when={as("queue_paused")}>
        {(row) => <Line icon="pause">{displayName(row().by)} paused the queue.</Line>}
      </Match>
      <Match when={as("queue_resumed")}>
        {(row) => <Line icon="play">{displayName(row().by)} resumed the queue.</Line>}
      </Match>
      <Match when={as("pull_request_changed")}>
        {(row) => (
          <Line icon="pull">
            {row().by} {CHANGES[row().state]} pull request #{row().number}.
          </Line>
        )}
      </Match>
      <Match when={as("pull_request_reviewed")}>
        {(row) => (
          <Line icon={row().verdict === "changes_requested" ? "pencil" : row().verdict === "approved" ? "check" : "chat"}>
            {row().by} {VERDICTS[row().verdict]} pull request #{row().number}.
          </Line>
        )}
      </Match>
      <Match when={as("checks_finished")}>
        {(row) => (
          <Show
            when={row().failed.length > 0}
            fallback={
              <Line icon="check">
                All checks of pull request #{row().number} passed at <code>{row().commit.slice(0, 7)}</code>.
              </Line>
            }
          >
            <Line icon="warning" bad>
              {row().failed.length === 1 ? "A check" : `${row().failed.length} checks`} of pull request #{row().number}{" "}
              failed at <code>{row().commit.slice(0, 7)}</code>: {row().failed.join(", ")}.
            </Line>
          </Show>
        )}
      </Match>
      <Match when={as("artifact_added")}>
        {(row) => (
          <figure class="shared">
            <FileView artifact={row().artifact} large />
            <Show when={row().artifact.caption}>{(caption) => <figcaption class="quiet">{caption()}</figcaption>}</Show>
          </figure>
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

const CHANGES: Readonly<Record<PullRequestState, string>> = {
  draft: "turned into a draft",
  open: "opened again or made ready",
  merged: "merged",
  closed: "closed",
};

const VERDICTS: Readonly<Record<ReviewVerdict, string>> = {
  approved: "approved",
  changes_requested: "requested changes on",
  commented: "commented on",
};

function Line(props: { icon: IconName; bad?: boolean; children: JSX.Element }): JSX.Element {
  return (
    <p class="row" classList={{ bad: props.bad ?? false }}>
      <Icon name={props.icon} />
      <span>{props.children}</span>
    </p>
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
          <span>{props.sandbox.restored ? "Waking the sandbox…" : "Starting a sandbox…"}</span>
        </Match>
        <Match when={ready()}>
          {(is) => (
            <>
              <Icon name="box" />
              <span>
                Sandbox {props.sandbox.restored ? "restored" : "ready"} in {duration(is().at - props.sandbox.startedAt)}
                <span class="quiet">
                  {" "}
                  · {is().fromImage ? "from the image, " : ""}at <code>{is().commit.slice(0, 7)}</code>
                </span>
              </span>
            </>
          )}
        </Match>
        <Match when={state().phase === "released"}>
          <Icon name="box" />
          <span>A sandbox was made ready and not used.</span>
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
