import { Match, Show, Switch, type JSX } from "solid-js";

import type { SlackIntegration } from "#ui/protocol.ts";
import { webAddress } from "#ui/view/Row.tsx";
import { Icon } from "#ui/view/Icon.tsx";

import { api } from "../api.ts";
import { Problem } from "../components/Problem.tsx";
import { createLoaded } from "../loaded.ts";
import { Section } from "./Form.tsx";

function slackWords({ connected, outage }: SlackIntegration): string {
  if (outage) return `Disconnected since ${new Date(outage.since).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}. ${outage.message}`;
  return connected
    ? "Mention the agent in a channel, and its thread is a session."
    : "Whoever runs this deployment connects a workspace in its configuration.";
}

export function Integrations(): JSX.Element {
  const found = createLoaded(api.integrations);
  return (
    <Section title="Integrations" note="Where else people work with the agent.">
      <Show when={found.problem()}>{(message) => <Problem message={message()} retry={() => void found.reload()} />}</Show>
      <Switch>
        <Match when={found.value()}>
          {(known) => (
            <ul class="rows">
              <li class="row-entry">
                <Icon name="pull" />
                <div class="row-main">
                  <strong>GitHub</strong>
                  <span class="quiet">
                    {known().github.app_slug === undefined
                      ? "No GitHub App is configured."
                      : `The App “${known().github.app_slug}” clones, pushes and hears of reviews and checks where it is installed.`}
                  </span>
                </div>
                <Show when={known().github.install_url}>
                  {(url) => (
                    <a class="button" href={webAddress(url())} target="_blank" rel="noopener noreferrer">
                      Install or configure
                    </a>
                  )}
                </Show>
              </li>
              <li class="row-entry">
                <Icon name="chat" />
                <div class="row-main">
                  <strong>Slack</strong>
                  <span class="quiet">
                    {slackWords(known().slack)}
                  </span>
                </div>
                <span class="tag" classList={{ off: !known().slack.connected }}>
                  {known().slack.outage ? "Disconnected" : known().slack.connected ? "Connected" : "Not connected"}
                </span>
              </li>
            </ul>
          )}
        </Match>
        <Match when={found.problem() === undefined}>
          <div class="skeleton" />
        </Match>
      </Switch>
    </Section>
  );
}
