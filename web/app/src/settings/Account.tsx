import { For, Match, Show, Switch, createSignal, type JSX } from "solid-js";

import type { Me } from "#ui/protocol.ts";
import { Avatar, displayName } from "#ui/view/Avatar.tsx";

import { api, messageOf } from "../api.ts";
import { APPEARANCES, appearance, setAppearance } from "../appearance.ts";
import { signedOut } from "../me.ts";
import { notify } from "../notices.ts";
import { notificationsOn, permission, turnNotificationsOff, turnNotificationsOn } from "../notifications.ts";
import { Confirmed, Field, Form, Section } from "./Form.tsx";

export function Account(props: { me: Me }): JSX.Element {
  return (
    <>
      <Section title="You" note="As GitHub has it. Sessions, prompts and pull requests carry this name.">
        <div class="person-card">
          <Avatar person={props.me.person} size="large" />
          <div>
            <strong>{displayName(props.me.person)}</strong>
            <p class="quiet">
              @{props.me.person.login}
              {props.me.role === "administrator" && " · administrator"}
            </p>
          </div>
        </div>
      </Section>
      <CommitAddress />
      <Section title="Appearance">
        <div class="segments inline" role="group" aria-label="Appearance">
          <For each={APPEARANCES}>
            {(name) => (
              <button aria-pressed={appearance() === name} onClick={() => setAppearance(name)}>
                {name.charAt(0).toUpperCase() + name.slice(1)}
              </button>
            )}
          </For>
        </div>
      </Section>
      <Notifications />
      <Section
        title="Signed-in browsers"
        note="Ends every sign-in of yours, this one too. API tokens stay."
        side={
          <Confirmed
            label="Sign out everywhere"
            words="Sign out everywhere"
            run={async () => {
              try {
                await api.signOutEverywhere();
                signedOut();
              } catch (error) {
                notify(messageOf(error));
              }
            }}
          />
        }
      />
    </>
  );
}

function CommitAddress(): JSX.Element {
  const [address, setAddress] = createSignal("");
  return (
    <Section
      title="Commit address"
      note="Commits that the agent makes for you have you as their author. Without an address of yours, GitHub’s own for your account is used."
    >
      <Form
        label="Commit address"
        action="Save"
        save={async () => {
          const wanted = address().trim();
          await api.setMe(wanted ? { commit_email: wanted } : {});
          notify(wanted ? `Your commits have ${wanted} from now on.` : "Your commits have GitHub’s own address from now on.", {
            kind: "news",
          });
        }}
      >
        <Field
          label="E-mail"
          hint="One that GitHub has verified. Empty for GitHub’s own."
          control={(ids) => (
            <input
              {...ids}
              type="email"
              autocomplete="email"
              placeholder="you@example.com"
              value={address()}
              onInput={(event) => setAddress(event.currentTarget.value)}
            />
          )}
        />
      </Form>
    </Section>
  );
}

function Notifications(): JSX.Element {
  return (
    <Section
      title="Notifications"
      note="When a turn that you asked for is done and you look elsewhere, the browser tells you."
      side={
        <Show when={permission() === "default" || permission() === "granted"}>
          <button
            class="button"
            aria-pressed={notificationsOn()}
            onClick={() => (notificationsOn() ? turnNotificationsOff() : void turnNotificationsOn())}
          >
            {notificationsOn() ? "Turn off" : "Turn on"}
          </button>
        </Show>
      }
    >
      <Switch>
        <Match when={permission() === "denied"}>
          <p class="callout">This browser does not let this page notify you. Allow it in the settings of the browser.</p>
        </Match>
        <Match when={permission() === "unsupported"}>
          <p class="callout">This browser has no notifications for pages.</p>
        </Match>
      </Switch>
    </Section>
  );
}
