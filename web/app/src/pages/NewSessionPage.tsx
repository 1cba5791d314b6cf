import { Match, Show, Switch, createEffect, createSignal, onMount, type JSX } from "solid-js";

import { requestId } from "#ui/outbox.ts";
import type { Artifact, CreateSession, Person, RepositorySummary } from "#ui/protocol.ts";
import { Icon } from "#ui/view/Icon.tsx";

import { api, messageOf } from "../api.ts";
import { Composer } from "../components/Composer.tsx";
import { Picker } from "../components/Picker.tsx";
import { Problem } from "../components/Problem.tsx";
import { TopBar } from "../components/TopBar.tsx";
import { navigate, sessionPath, title } from "../router.ts";
import { draftKey, remember, remembered } from "../storage.ts";

const LAST_REPOSITORY = "repository";

export function NewSessionPage(props: { me: Person }): JSX.Element {
  const [repositories, setRepositories] = createSignal<readonly RepositorySummary[] | undefined>();
  const [problem, setProblem] = createSignal<string | undefined>();
  const [repository, setRepository] = createSignal("");
  const [branch, setBranch] = createSignal("");
  const [starting, setStarting] = createSignal(false);
  const [refusal, setRefusal] = createSignal<string | undefined>();
  const chosen = () => repositories()?.find((known) => known.repository === repository());

  const load = async () => {
    setProblem(undefined);
    try {
      const list = await api.repositories();
      setRepositories(list.repositories);
      const last = remembered(LAST_REPOSITORY);
      const first = list.repositories.find((known) => known.repository === last) ?? list.repositories[0];
      if (!repository() && first) setRepository(first.repository);
    } catch (error) {
      setProblem(messageOf(error));
    }
  };
  onMount(title(() => "New session"));
  onMount(() => void load());
  createEffect(() => {
    repository();
    setBranch("");
    setRefusal(undefined);
  });

  // A repetition of the same request is the same session; another wish is another one.
  let request: { body: string; id: string } | undefined;
  const identified = (wanted: CreateSession): CreateSession => {
    const body = JSON.stringify(wanted);
    if (request?.body !== body) request = { body, id: requestId() };
    return { ...wanted, client_request_id: request.id };
  };

  const start = async (prompt: string, attachments: readonly Artifact[]): Promise<boolean> => {
    const on = chosen();
    if (!on) {
      setRefusal("Choose a repository first.");
      return false;
    }
    setStarting(true);
    setRefusal(undefined);
    const wanted = branch().trim();
    try {
      const { id } = await api.createSession(
        identified({
          repository: on.repository,
          prompt,
          ...(wanted && { branch: wanted }),
          ...(attachments.length > 0 && { attachments: attachments.map(({ id }) => id) }),
        }),
      );
      remember(LAST_REPOSITORY, on.repository);
      remember(draftKey("new"), "");
      navigate(sessionPath(id));
      return true;
    } catch (error) {
      setRefusal(messageOf(error));
      return false;
    } finally {
      setStarting(false);
    }
  };

  return (
    <div class="page">
      <TopBar me={props.me} />
      <main class="column narrow new-session">
        <h1>What should be done?</h1>
        <p class="quiet">The agent works on a branch of its own and opens a pull request in your name.</p>
        <Switch>
          <Match when={problem()}>{(message) => <Problem message={message()} retry={() => void load()} />}</Match>
          <Match when={repositories()?.length === 0}>
            <div class="empty">
              <Icon name="lock" />
              <h2>No repositories</h2>
              <p class="quiet">
                None of the repositories that you can write to has the GitHub App installed. Install it on one, then look
                again.
              </p>
              <button class="button" onClick={() => void load()}>
                Look again
              </button>
            </div>
          </Match>
          <Match when={true}>
            <Composer
              draft={draftKey("new")}
              label="Prompt"
              placeholder="The tests fail. Find out why and fix it."
              action="Start session"
              rows={5}
              focus
              busy={starting()}
              upload={api.upload(undefined)}
              onSubmit={start}
              tools={
                <>
                  <Picker
                    label="Repository"
                    icon="box"
                    placeholder={repositories() ? "Repository" : "Loading…"}
                    disabled={!repositories()}
                    choices={(repositories() ?? []).map((known) => ({
                      value: known.repository,
                      icon: known.private ? "lock" : undefined,
                    }))}
                    value={repository()}
                    onChange={setRepository}
                  />
                  <label class="picker branch">
                    <Icon name="branch" />
                    <input
                      type="text"
                      aria-label="Branch"
                      autocomplete="off"
                      autocapitalize="none"
                      spellcheck={false}
                      placeholder={chosen()?.default_branch ?? "Branch"}
                      value={branch()}
                      onInput={(event) => setBranch(event.currentTarget.value)}
                    />
                  </label>
                </>
              }
            />
            <Show when={refusal()}>
              {(message) => (
                <p class="callout bad" role="alert">
                  <Icon name="warning" /> {message()}
                </p>
              )}
            </Show>
          </Match>
        </Switch>
      </main>
    </div>
  );
}
