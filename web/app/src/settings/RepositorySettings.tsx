/** One repository: its images, what they hold and what sandboxes may reach, hints, environments, secrets. */
import { Match, Show, Switch, type JSX } from "solid-js";

import type { Repository, RepositorySummary } from "#ui/protocol.ts";
import { Icon } from "#ui/view/Icon.tsx";

import { api } from "../api.ts";
import { Problem } from "../components/Problem.tsx";
import { createLoaded } from "../loaded.ts";
import { newSessionPath, settingsPath } from "../router.ts";
import { Environments } from "./Environments.tsx";
import { Hints } from "./Hints.tsx";
import { Images } from "./Images.tsx";
import { Policy } from "./Policy.tsx";
import { Secrets } from "./Secrets.tsx";

export function RepositorySettings(props: { repository: Repository }): JSX.Element {
  const { repository } = props;
  const detail = createLoaded(() => api.repository(repository));
  // Whether one may write is in the list alone; without it the server still refuses.
  const summary = createLoaded(
    async (): Promise<RepositorySummary | undefined> =>
      (await api.repositories()).repositories.find((known) => known.repository === repository),
  );
  const mayWrite = () => summary.value()?.may_write ?? true;
  return (
    <>
      <div class="repository-head">
        <a class="icon-button" href={settingsPath("repositories")} aria-label="All repositories">
          <Icon name="back" />
        </a>
        <h2>{repository}</h2>
        <a class="button" href={newSessionPath(repository)}>
          <Icon name="plus" /> New session
        </a>
      </div>
      <Show when={detail.problem()}>
        {(message) => <Problem message={message()} retry={() => void detail.reload()} />}
      </Show>
      <Switch>
        <Match when={detail.value()}>
          {(known) => (
            <>
              <Show when={!mayWrite()}>
                <p class="callout">
                  <Icon name="lock" /> You can read this repository and not push to it, so its settings are not yours to change.
                </p>
              </Show>
              <Images repository={repository} branch={known().default_branch} />
              <Policy repository={repository} settings={known().settings} mayWrite={mayWrite()} saved={() => void detail.reload()} />
              <Hints repository={repository} settings={known().settings} mayWrite={mayWrite()} saved={() => void detail.reload()} />
              <Environments repository={repository} mayWrite={mayWrite()} />
              <Secrets repository={repository} mayWrite={mayWrite()} />
            </>
          )}
        </Match>
        <Match when={detail.problem() === undefined}>
          <div class="skeletons" aria-busy="true">
            <span class="unseen">Loading the repository</span>
            <div class="skeleton" />
            <div class="skeleton" />
          </div>
        </Match>
      </Switch>
    </>
  );
}
