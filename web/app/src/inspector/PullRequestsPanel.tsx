/** The session's pull requests: how they stand, and opening another with one's own account. */
import { For, Match, Show, Switch, createMemo, createSignal, type JSX } from "solid-js";

import type { Artifact, PullRequestState, ReviewVerdict } from "#ui/protocol.ts";
import type { OpenedPullRequest } from "#ui/timeline/pull-requests.ts";
import { useSurroundings } from "#ui/view/context.ts";
import { displayName } from "#ui/view/Avatar.tsx";
import { FileView } from "#ui/view/Files.tsx";
import { Icon, type IconName } from "#ui/view/Icon.tsx";
import { webAddress } from "#ui/view/Row.tsx";
import { isPicture } from "#ui/uploads.ts";

import { messageOf } from "../api.ts";
import { notify } from "../notices.ts";
import { sessionParts } from "../session-api.ts";
import type { PanelProps } from "./Inspector.tsx";
import { PanelEmpty } from "./PanelState.tsx";

const STATES: Readonly<Record<PullRequestState, string>> = { draft: "Draft", open: "Open", merged: "Merged", closed: "Closed" };

const REVIEWS: Readonly<Record<ReviewVerdict, { readonly icon: IconName; readonly words: string }>> = {
  approved: { icon: "check", words: "Approved" },
  changes_requested: { icon: "pencil", words: "Changes requested" },
  commented: { icon: "chat", words: "Commented" },
};

export default function PullRequestsPanel(props: PanelProps): JSX.Element {
  const pulls = () => props.client.store.timeline().pullRequests().toReversed();
  const hasOpen = () => pulls().some(({ state }) => state === "open" || state === "draft");
  return (
    <div class="panel-body">
      <Show
        when={pulls().length > 0}
        fallback={
          <PanelEmpty icon="pull" title="No pull request yet">
            One is opened by itself as soon as there are commits, by whoever asked for them.
          </PanelEmpty>
        }
      >
        <ul class="pulls">
          <For each={pulls()}>{(pull) => <PullCard {...props} pull={pull} />}</For>
        </ul>
      </Show>
      <Show when={!props.archived}>
        <OpenForm {...props} another={hasOpen()} />
      </Show>
      <Pictures {...props} />
    </div>
  );
}

function PullCard(props: PanelProps & { pull: OpenedPullRequest }): JSX.Element {
  const [busy, setBusy] = createSignal(false);
  const open = () => props.pull.state === "open" || props.pull.state === "draft";
  const change = async (draft: boolean) => {
    setBusy(true);
    try {
      await sessionParts.changePullRequest(props.id, props.pull.number, { draft });
    } catch (error) {
      notify(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <li class="pull-card">
      <a class="pull-title" href={webAddress(props.pull.url)} target="_blank" rel="noopener noreferrer">
        <span class={`pull-state ${props.pull.state}`}>
          <Icon name="pull" /> {STATES[props.pull.state] ?? props.pull.state}
        </span>
        <strong>{props.pull.title}</strong>
        <span class="quiet">
          #{props.pull.number}
          <Show when={props.pull.branch}>{(branch) => <> · {branch()}</>}</Show>
        </span>
      </a>
      <ul class="pull-facts">
        <li classList={{ good: props.pull.checks === "passed", bad: props.pull.checks === "failed" }}>
          <Switch
            fallback={
              <>
                <Icon name="time" /> <span>{open() ? "No checks have ended yet" : "No checks have ended"}</span>
              </>
            }
          >
            <Match when={props.pull.checks === "passed"}>
              <Icon name="check" /> <span>All checks passed</span>
            </Match>
            <Match when={props.pull.checks === "failed"}>
              <Icon name="warning" />
              <span>
                Checks failed
                <Show when={(props.pull.failed?.length ?? 0) > 0}>: {props.pull.failed?.join(", ")}</Show>
              </span>
            </Match>
          </Switch>
        </li>
        <li classList={{ good: props.pull.review === "approved", bad: props.pull.review === "changes_requested" }}>
          <Show
            when={props.pull.review}
            fallback={
              <>
                <Icon name="chat" /> <span>Nobody has reviewed it yet</span>
              </>
            }
          >
            {(review) => (
              <>
                <Icon name={REVIEWS[review()]?.icon ?? "chat"} /> <span>{REVIEWS[review()]?.words ?? review()}</span>
              </>
            )}
          </Show>
        </li>
      </ul>
      <Show when={open()}>
        <div class="pull-actions">
          <a class="button" href={webAddress(props.pull.url)} target="_blank" rel="noopener noreferrer">
            Open on GitHub
          </a>
          <Show
            when={props.pull.state === "draft"}
            fallback={
              <button class="button" disabled={busy()} onClick={() => void change(true)}>
                Make it a draft
              </button>
            }
          >
            <button class="button primary" disabled={busy()} onClick={() => void change(false)}>
              Ready for review
            </button>
          </Show>
        </div>
      </Show>
    </li>
  );
}

function OpenForm(props: PanelProps & { another: boolean }): JSX.Element {
  const [title, setTitle] = createSignal("");
  const [branch, setBranch] = createSignal("");
  const [draft, setDraft] = createSignal(false);
  const [busy, setBusy] = createSignal(false);
  const [asked, setAsked] = createSignal(false);
  const submit = async () => {
    setBusy(true);
    try {
      await sessionParts.wishPullRequest(props.id, {
        draft: draft(),
        ...(title().trim() !== "" && { title: title().trim() }),
        ...(branch().trim() !== "" && { branch: branch().trim() }),
      });
      setTitle("");
      setBranch("");
      setAsked(true);
    } catch (error) {
      notify(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <details class="open-pull" open={!props.another}>
      <summary>
        <Icon name="chevron" class="turns" />
        {props.another ? "Open another" : "Open one now"}
      </summary>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <label>
          <span>Title</span>
          <input value={title()} placeholder="The agent writes one" maxlength={256} onInput={(event) => setTitle(event.currentTarget.value)} />
        </label>
        <label>
          <span>Branch</span>
          <input
            value={branch()}
            placeholder={`agent/${props.id}`}
            autocapitalize="off"
            spellcheck={false}
            onInput={(event) => setBranch(event.currentTarget.value)}
          />
        </label>
        <label class="check">
          <input type="checkbox" checked={draft()} onChange={(event) => setDraft(event.currentTarget.checked)} />
          <span>As a draft</span>
        </label>
        <button class="button primary" type="submit" disabled={busy()}>
          Open as {displayName(props.me)}
        </button>
        <p class="quiet" role="status">
          {asked()
            ? "It is opened as soon as its branch has commits."
            : "It is opened with your own GitHub account, as soon as its branch has commits."}
        </p>
      </form>
    </details>
  );
}

/** What the agent showed: two that are called before and after are laid over each other. */
function Pictures(props: PanelProps): JSX.Element {
  const pictures = createMemo(() =>
    [...props.client.store.past(), props.client.store.timeline()]
      .flatMap((piece) => piece.artifacts())
      .filter((artifact) => isPicture(artifact.media_type)),
  );
  const called = (word: RegExp) =>
    pictures().findLast((artifact) => word.test(artifact.name) || word.test(artifact.caption ?? ""));
  const pair = createMemo(() => {
    const before = called(/\bbefore\b|^before/i);
    const after = called(/\bafter\b|^after/i);
    return before && after && before !== after ? { before, after } : undefined;
  });
  return (
    <Show when={pictures().length > 0}>
      <section>
        <h2>Pictures</h2>
        <Show
          when={pair()}
          fallback={
            <ul class="attached">
              <For each={pictures()}>
                {(artifact) => (
                  <li>
                    <FileView artifact={artifact} />
                  </li>
                )}
              </For>
            </ul>
          }
        >
          {(both) => <Compare before={both().before} after={both().after} />}
        </Show>
      </section>
    </Show>
  );
}

function Compare(props: { before: Artifact; after: Artifact }): JSX.Element {
  const { file } = useSurroundings();
  const [share, setShare] = createSignal(50);
  const words = (artifact: Artifact) => artifact.caption ?? artifact.name;
  return (
    <figure class="compare">
      <div class="compare-pictures">
        <img src={file(props.after.id)} alt={words(props.after)} />
        <img
          class="compare-before"
          src={file(props.before.id)}
          alt={words(props.before)}
          style={{ "clip-path": `inset(0 ${100 - share()}% 0 0)` }}
        />
        <span class="compare-edge" style={{ left: `${share()}%` }} />
      </div>
      <label>
        <span class="unseen">How much of the picture before is shown</span>
        <input
          type="range"
          min="0"
          max="100"
          value={share()}
          onInput={(event) => setShare(Number(event.currentTarget.value))}
        />
      </label>
      <figcaption class="quiet">
        <span>Before: {words(props.before)}</span>
        <span>After: {words(props.after)}</span>
      </figcaption>
    </figure>
  );
}
