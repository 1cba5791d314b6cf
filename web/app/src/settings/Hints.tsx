/** What is worked on in a repository, in the words that people use: chats go by it. */
import { createSignal, type JSX } from "solid-js";

import type { Repository, Settings } from "#ui/protocol.ts";

import { api } from "../api.ts";
import { notify } from "../notices.ts";
import { Field, Form, Section } from "./Form.tsx";

/** What the server takes. */
const MAX_HINTS = 1000;

export function Hints(props: { repository: Repository; settings: Settings; mayWrite: boolean; saved: () => void }): JSX.Element {
  const [text, setText] = createSignal(props.settings.hints ?? "");
  return (
    <Section title="In Slack" note="When nobody names a repository, the agent finds it by what is written here.">
      <Form
        label="In Slack"
        action="Save hints"
        save={async () => {
          // Saving replaces everything, so the others' part is what it is by now.
          const { hints: _before, ...others } = (await api.repository(props.repository)).settings;
          const hints = text().trim();
          await api.setSettings(props.repository, { ...others, ...(hints !== "" && { hints }) });
          notify("Saved.", { kind: "news" });
          props.saved();
        }}
      >
        <fieldset class="fieldset" disabled={!props.mayWrite}>
          <legend class="unseen">In Slack</legend>
          <Field
            label="What is worked on here"
            hint="Words, features and systems that people would name in Slack."
            control={(ids) => (
              <textarea
                {...ids}
                rows={3}
                maxlength={MAX_HINTS}
                placeholder="The ledger, payouts, what finance calls the books"
                value={text()}
                onInput={(event) => setText(event.currentTarget.value)}
              />
            )}
          />
        </fieldset>
      </Form>
    </Section>
  );
}
