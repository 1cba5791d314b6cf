/** Images of a repository: state, steps, log as it grows, and another one on request. */
import { For, Match, Show, Switch, createSignal, onCleanup, type JSX } from "solid-js";

import type { Image, ImageState, Repository } from "#ui/protocol.ts";
import { bytes } from "#ui/uploads.ts";
import { age, duration } from "#ui/view/duration.ts";
import { Icon, Spinner } from "#ui/view/Icon.tsx";

import { api, messageOf } from "../api.ts";
import { Problem } from "../components/Problem.tsx";
import { createLoaded } from "../loaded.ts";
import { notify } from "../notices.ts";
import { Section } from "./Form.tsx";
import { ImageLog } from "./ImageLog.tsx";

const STATES: Readonly<Record<ImageState, string>> = {
  requested: "Waits for a runner",
  building: "Building",
  ready: "Ready",
  unchanged: "Nothing to build",
  failed: "Failed",
};

const REFRESH_MS = 3_000;
const SHOWN = 5;

export const isUnderWay = ({ state }: Image): boolean => state === "requested" || state === "building";

export function Images(props: { repository: Repository; branch: string }): JSX.Element {
  const images = createLoaded(async () => (await api.images(props.repository)).images);
  const [all, showAll] = createSignal(false);
  const [asking, setAsking] = createSignal(false);
  const timer = setInterval(() => {
    if (document.visibilityState === "visible" && images.value()?.some(isUnderWay)) void images.reload();
  }, REFRESH_MS);
  onCleanup(() => clearInterval(timer));

  const rebuild = async () => {
    setAsking(true);
    try {
      await api.requestImage(props.repository, { branch: props.branch, force: true });
      await images.reload();
    } catch (error) {
      notify(messageOf(error));
    } finally {
      setAsking(false);
    }
  };
  const shown = () => images.value()?.slice(0, all() ? undefined : SHOWN) ?? [];

  return (
    <Section
      title="Images"
      note={`Of ${props.branch}: the repository with warm caches. Looked after every half hour.`}
      side={
        <button class="button" disabled={asking()} onClick={() => void rebuild()}>
          <Show when={asking()} fallback={<Icon name="bolt" />}>
            <Spinner />
          </Show>
          Rebuild now
        </button>
      }
    >
      <Show when={images.problem()}>
        {(message) => <Problem message={message()} retry={() => void images.reload()} />}
      </Show>
      <Switch>
        <Match when={images.value()?.length === 0}>
          <p class="quiet nothing-found">No image yet. The first session builds one, or build it now.</p>
        </Match>
        <Match when={images.value()}>
          {(known) => (
            <>
              <ul class="rows images">
                {/* By identifier: an image that is asked for again is another object. */}
                <For each={shown().map(({ id }) => id)}>
                  {(id) => (
                    <Show when={known().find((image) => image.id === id)}>
                      {(image) => <Entry repository={props.repository} image={image()} />}
                    </Show>
                  )}
                </For>
              </ul>
              <Show when={known().length > SHOWN && !all()}>
                <button class="button older" onClick={() => showAll(true)}>
                  Show {known().length - SHOWN} more
                </button>
              </Show>
            </>
          )}
        </Match>
        <Match when={images.problem() === undefined}>
          <div class="skeleton" />
        </Match>
      </Switch>
    </Section>
  );
}

function Entry(props: { repository: Repository; image: Image }): JSX.Element {
  const [open, setOpen] = createSignal(false);
  const took = () => {
    const { started_at: from, finished_at: to } = props.image;
    return from !== undefined && to !== undefined ? `, took ${duration(to - from)}` : "";
  };
  return (
    <li>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary class="row-entry">
          <span class={`image-dot ${props.image.state}`} aria-hidden="true" />
          <div class="row-main">
            <strong>
              {STATES[props.image.state]}
              <Show when={props.image.base.environment}>{(name) => <span class="tag off">{name()}</span>}</Show>
              <Show when={props.image.current}>
                <span class="tag">in use</span>
              </Show>
            </strong>
            <span class="quiet">
              <Show when={props.image.commit}>
                {(commit) => (
                  <>
                    <code>{commit().slice(0, 7)}</code> ·{" "}
                  </>
                )}
              </Show>
              {props.image.reason}
              <Show when={props.image.requested_by}>{(login) => <> · by {login()}</>}</Show>
              {took()}
            </span>
          </div>
          <time class="quiet" datetime={new Date(props.image.requested_at).toISOString()}>
            {age(props.image.requested_at, Date.now())}
          </time>
          <Icon name="chevron" class="opener" />
        </summary>
        <Show when={open()}>
          <div class="image-detail">
            <Show when={props.image.message}>
              {(message) => (
                <p class="callout bad">
                  <Icon name="warning" /> {message()}
                </p>
              )}
            </Show>
            <Show when={props.image.steps.length > 0}>
              <ul class="steps" aria-label="Steps">
                <For each={props.image.steps}>
                  {(step) => (
                    <li classList={{ bad: !step.success }}>
                      <Icon name={step.success ? "check" : "cross"} />
                      <span class="step-name">
                        {step.name}
                        <Show when={!step.success}>
                          <span class="unseen"> failed</span>
                        </Show>
                      </span>
                      <span class="quiet">{duration(step.ms)}</span>
                    </li>
                  )}
                </For>
              </ul>
            </Show>
            <Show when={Object.keys(props.image.runtime).length > 0 || props.image.bytes > 0}>
              <p class="quiet small">
                {Object.entries(props.image.runtime)
                  .map(([name, version]) => `${name} ${version}`)
                  .join(" · ")}
                {props.image.bytes > 0 && ` · ${bytes(props.image.bytes)} on disk`}
              </p>
            </Show>
            <ImageLog repository={props.repository} image={props.image.id} />
          </div>
        </Show>
      </details>
    </li>
  );
}
