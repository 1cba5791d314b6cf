import { For, Match, Show, Switch, createSignal, type JSX } from "solid-js";

import { Icon } from "#ui/view/Icon.tsx";

import { api } from "../api.ts";
import { Problem } from "../components/Problem.tsx";
import { rank } from "../fuzzy.ts";
import { imageWords } from "../image-age.ts";
import { createLoaded } from "../loaded.ts";
import { settingsPath } from "../router.ts";
import { Section } from "./Form.tsx";

export function Repositories(): JSX.Element {
  const list = createLoaded(async () => (await api.repositories()).repositories);
  const [query, setQuery] = createSignal("");
  const found = () => rank(query(), list.value() ?? [], ({ repository }) => repository);
  return (
    <Section
      title="Repositories"
      note="What you reach on GitHub. Each has an image, from which its sandboxes start within moments."
    >
      <Show when={(list.value()?.length ?? 0) > 0}>
        <label class="search-field">
          <Icon name="search" />
          <input
            type="search"
            aria-label="Search repositories"
            placeholder="Search"
            autocomplete="off"
            spellcheck={false}
            value={query()}
            onInput={(event) => setQuery(event.currentTarget.value)}
          />
        </label>
      </Show>
      <Show when={list.problem()}>{(message) => <Problem message={message()} retry={() => void list.reload()} />}</Show>
      <Switch>
        <Match when={list.value()?.length === 0}>
          <p class="quiet nothing-found">There are no repositories that you reach. Install the GitHub App on one.</p>
        </Match>
        <Match when={list.value()}>
          <ul class="rows">
            <For each={found()}>
              {(known) => (
                <li>
                  <a class="row-entry" href={settingsPath("repositories", known.repository)}>
                    <Icon name={known.private ? "lock" : "box"} />
                    <div class="row-main">
                      <strong>{known.repository}</strong>
                      <span class="quiet">
                        <span class={`image-dot ${known.image?.state ?? "none"}`} aria-hidden="true" />{" "}
                        {imageWords(known.image, Date.now())}
                      </span>
                    </div>
                    <Icon name="chevron" />
                  </a>
                </li>
              )}
            </For>
          </ul>
          <Show when={found().length === 0 && (list.value()?.length ?? 0) > 0}>
            <p class="quiet nothing-found">No repository fits “{query()}”.</p>
          </Show>
        </Match>
        <Match when={list.problem() === undefined}>
          <div class="skeleton" />
        </Match>
      </Switch>
    </Section>
  );
}
