/** One composer. While somebody writes, a sandbox of their choice warms. */
import { Match, Show, Switch, batch, createEffect, createMemo, createSignal, on, onMount, type JSX } from "solid-js";

import type { Artifact, Environment, Model, ModelChoice, Person, Provider, RepositorySummary } from "#ui/protocol.ts";
import { Uploads } from "#ui/uploads.ts";
import { Icon } from "#ui/view/Icon.tsx";

import { ApiError, api, artifactPath, messageOf } from "../api.ts";
import { Composer } from "../components/Composer.tsx";
import { Picker } from "../components/Picker.tsx";
import { Problem } from "../components/Problem.tsx";
import { TopBar } from "../components/TopBar.tsx";
import { keepDraft, keptDraft } from "../draft-memory.ts";
import { DraftSession, type Choice } from "../draft-session.ts";
import { sendFirstPrompt } from "../first-prompt.ts";
import { imageSentence, imageWords } from "../image-age.ts";
import { notify } from "../notices.ts";
import { navigate, sessionPath, settingsPath, title } from "../router.ts";
import { draftKey, remember, remembered } from "../storage.ts";
import { createWarmSocket } from "../warm-socket.ts";
import { warmthWords } from "../warmth.ts";

const LAST_REPOSITORY = "repository";
const TEXT = draftKey("new");

export default function NewSessionPage(props: { me: Person; repository: string | undefined }): JSX.Element {
  const kept = keptDraft();
  const [repositories, setRepositories] = createSignal<readonly RepositorySummary[] | undefined>();
  const [models, setModels] = createSignal<readonly ModelChoice[]>([]);
  const [environments, setEnvironments] = createSignal<readonly Environment[]>([]);
  const [branches, setBranches] = createSignal<readonly string[]>([]);
  const [asking, setAsking] = createSignal(false);
  const [problem, setProblem] = createSignal<string | undefined>();
  const [repository, setRepository] = createSignal(props.repository ?? kept.repository);
  const same = repository() === kept.repository;
  const [branch, setBranch] = createSignal(same ? kept.branch : "");
  const [model, setModel] = createSignal(kept.model);
  const [environment, setEnvironment] = createSignal(same ? kept.environment : "");
  const [starting, setStarting] = createSignal(false);
  const [refusal, setRefusal] = createSignal<string | undefined>();
  const chosen = () => repositories()?.find((known) => known.repository === repository());

  // Of defaults it says nothing: what is asked for without them can come from the pool.
  const choice = createMemo((): Choice => {
    const wanted = modelOf(model());
    return {
      repository: repository(),
      ...(branch() && { branch: branch() }),
      ...(wanted && { model: wanted }),
      ...(environment() && { environment: environment() }),
    };
  });

  const draft = new DraftSession({
    create: async (wanted) => (await api.createSession(wanted)).id,
    release: (id) => api.archiveSession(id),
  });
  const uploads = new Uploads(async (file, progress, signal) => {
    const id = await draft.begin(choice());
    return api.upload(id)(file, progress, signal);
  });
  const warm = createMemo(() => {
    const id = draft.id();
    return id === undefined ? undefined : createWarmSocket(id);
  });

  const defaultModel = () => {
    const [first] = models();
    return first && nameOf(first);
  };

  const load = async () => {
    setProblem(undefined);
    try {
      const list = await api.repositories();
      const reached = (name: string) => list.repositories.some((known) => known.repository === name);
      const first = [repository(), remembered(LAST_REPOSITORY)].find(reached) ?? list.repositories[0]?.repository ?? "";
      batch(() => {
        setRepositories(list.repositories);
        if (first !== repository()) choose(first);
      });
    } catch (error) {
      setProblem(messageOf(error));
    }
  };
  const loadModels = async () => {
    // Without them, the deployment's default is used and nothing is to be chosen.
    const found = await api.models().catch(() => ({ models: [] }));
    batch(() => {
      setModels(found.models);
      if (!found.models.some((known) => nameOf(known) === model())) setModel("");
    });
  };
  const loadEnvironments = async (of: string) => {
    const found = await api.environments(of).catch(() => ({ environments: [] }));
    if (of === repository()) setEnvironments(found.environments);
  };
  const searchBranches = async (text: string) => {
    const of = repository();
    if (!of) return;
    setAsking(true);
    try {
      const found = await api.branches(of, text);
      if (of === repository()) setBranches(found.branches);
    } catch {
      // A branch can still be typed.
    } finally {
      setAsking(false);
    }
  };

  const choose = (name: string) =>
    batch(() => {
      setRepository(name);
      setBranch("");
      setEnvironment("");
      setBranches([]);
      setEnvironments([]);
    });

  /** Goes on with what an earlier load of this page made, if it is still nobody's. */
  const resume = async () => {
    const { made } = kept;
    if (!made) return;
    draft.adopt(made);
    if (same) uploads.restore(kept.artifacts, ({ id }) => artifactPath(made.id, id));
    const gone = await api.session(made.id).then(
      ({ state, title: named }) => state === "archived" || named !== "",
      (error: unknown) => error instanceof ApiError && error.status === 404,
    );
    if (!gone || draft.made()?.id !== made.id) return;
    draft.sent();
    if (uploads.items().length > 0) notify("The files of this draft are no longer there. Attach them again.");
    uploads.clear();
  };

  onMount(title(() => "New session"));
  onMount(() => {
    void resume();
    void load();
    void loadModels();
  });
  createEffect(on(repository, (of) => of && void loadEnvironments(of)));
  createEffect(on(choice, () => setRefusal(undefined), { defer: true }));
  createEffect(
    on(
      () => repositories() !== undefined && JSON.stringify(choice()),
      () => {
        const made = draft.made();
        if (!chosen() || !made || made.choice === JSON.stringify(choice())) return;
        // Its sandbox would be of the wrong repository. Whoever has written already waits for another.
        if (remembered(TEXT).trim() === "" && uploads.items().length === 0) draft.release();
        else void draft.begin(choice()).catch(() => undefined);
        uploads.resend();
      },
    ),
  );
  createEffect(() => {
    const { id } = draft.made() ?? {};
    keepDraft({
      repository: repository(),
      branch: branch(),
      model: model(),
      environment: environment(),
      made: draft.made(),
      artifacts: id === undefined ? [] : uploads.artifacts(),
    });
  });

  const typed = (text: string) => {
    if (text.trim() === "" || !chosen()) return;
    // Whether it could be made is told when the prompt is sent.
    void draft.begin(choice()).catch(() => undefined);
    warm()?.typed();
  };

  const start = async (prompt: string, attachments: readonly Artifact[]): Promise<boolean> => {
    if (!chosen()) {
      setRefusal("Choose a repository first.");
      return false;
    }
    // Another tab may have sent this draft.
    const made = draft.made();
    if (made && attachments.length === 0 && keptDraft().made?.id !== made.id) draft.sent();
    setStarting(true);
    setRefusal(undefined);
    try {
      const id = await draft.begin(choice());
      remember(LAST_REPOSITORY, repository());
      remember(TEXT, "");
      batch(() => {
        draft.sent();
        uploads.clear();
      });
      sendFirstPrompt(id, prompt, attachments);
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
              <div class="row-of-buttons">
                <a class="button" href={settingsPath("integrations")}>
                  Install the GitHub App
                </a>
                <button class="button" onClick={() => void load()}>
                  Look again
                </button>
              </div>
            </div>
          </Match>
          <Match when={true}>
            <Composer
              draft={TEXT}
              label="Prompt"
              placeholder="The tests fail. Find out why and fix it."
              action="Start session"
              rows={5}
              focus
              busy={starting()}
              upload={uploads}
              onTyped={typed}
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
                      detail: imageWords(known.image, Date.now()),
                    }))}
                    value={repository()}
                    onChange={choose}
                  />
                  <Picker
                    label="Branch"
                    icon="branch"
                    placeholder={chosen()?.default_branch ?? "Branch"}
                    disabled={!chosen()}
                    busy={asking()}
                    choices={branches().map((name) => ({
                      value: name,
                      detail: name === chosen()?.default_branch ? "default" : undefined,
                    }))}
                    value={branch()}
                    onChange={(name) => setBranch(name === chosen()?.default_branch ? "" : name)}
                    onQuery={(text) => void searchBranches(text)}
                    free
                  />
                  <Show when={models().length > 1}>
                    <Picker
                      label="Model"
                      icon="model"
                      placeholder={models()[0]?.label ?? "Model"}
                      choices={models().map((known, index) => ({
                        value: nameOf(known),
                        label: known.label,
                        detail: index === 0 ? "default" : undefined,
                      }))}
                      value={model()}
                      onChange={(name) => setModel(name === defaultModel() ? "" : name)}
                    />
                  </Show>
                  <Show when={environments().length > 0}>
                    <Picker
                      label="Environment"
                      icon="wrench"
                      placeholder="Default environment"
                      choices={[
                        { value: "", label: "Default environment" },
                        ...environments().map(({ name, status }) => ({ value: name, detail: status })),
                      ]}
                      value={environment()}
                      onChange={setEnvironment}
                    />
                  </Show>
                </>
              }
            />
            <div class="readiness">
              <Show when={chosen()}>
                {(known) => (
                  <p class="quiet">
                    <Icon name="box" /> {imageSentence(known().image, Date.now())}
                  </p>
                )}
              </Show>
              <p class="warmth" role="status">
                <Show when={warm()}>
                  {(socket) => (
                    <span class={`warmth-words ${socket().warmth().phase}`}>
                      <span class="state-dot" aria-hidden="true" /> {warmthWords(socket().warmth())}
                    </span>
                  )}
                </Show>
              </p>
            </div>
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

function nameOf({ model }: ModelChoice): string {
  return `${model.provider}/${model.name}`;
}

const PROVIDERS: readonly Provider[] = ["anthropic", "openai"];

function modelOf(name: string): Model | undefined {
  const [, before, after] = /^(\w+)\/(.+)$/.exec(name) ?? [];
  const provider = PROVIDERS.find((known) => known === before);
  return provider && after ? { provider, name: after } : undefined;
}
