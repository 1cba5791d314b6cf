/** What images of the default environment hold, and what sandboxes may reach. Saved as one. */
import { createSignal, type JSX } from "solid-js";

import type { Repository, Settings } from "#ui/protocol.ts";

import { api } from "../api.ts";
import { notify } from "../notices.ts";
import { Form, LinesField, Section } from "./Form.tsx";
import { linesOf, specificationOf, written } from "./specification.ts";
import { SpecificationFields } from "./SpecificationFields.tsx";

export function Policy(props: { repository: Repository; settings: Settings; mayWrite: boolean; saved: () => void }): JSX.Element {
  const [text, setText] = createSignal(written(props.settings.specification));
  const [hosts, setHosts] = createSignal((props.settings.egress?.allow ?? []).join("\n"));
  const [defaults, setDefaults] = createSignal(props.settings.egress?.defaults ?? true);
  return (
    <Section
      title="Set-up and network"
      note="Without a set-up written here, the repository’s own files decide. What images hold counts from the next image on; what sandboxes may reach, at once."
    >
      <Form
        label="Set-up and network"
        action="Save"
        save={async () => {
          const specification = specificationOf(text());
          if (specification && "problem" in specification) throw new Error(specification.problem);
          // Saving replaces everything, so the others' part is what it is by now.
          const { specification: _specification, egress: _egress, ...others } = (await api.repository(props.repository)).settings;
          await api.setSettings(props.repository, {
            ...others,
            ...(specification && { specification }),
            egress: { allow: linesOf(hosts()), defaults: defaults() },
          });
          notify("Saved.", { kind: "news" });
          props.saved();
        }}
      >
        <fieldset class="fieldset" disabled={!props.mayWrite}>
          <legend class="unseen">Set-up and network</legend>
          <SpecificationFields text={text()} onChange={setText} />
          <LinesField
            label="Hosts that sandboxes may reach"
            hint="One a line: example.com, or *.example.com for all above it. Everything else is denied, and recorded."
            rows={3}
            placeholder="api.example.com"
            value={hosts()}
            onInput={setHosts}
          />
          <label class="check">
            <input type="checkbox" checked={defaults()} onChange={(event) => setDefaults(event.currentTarget.checked)} />
            <span>
              Allow package registries <span class="quiet">of the common languages and of Debian</span>
            </span>
          </label>
        </fieldset>
      </Form>
    </Section>
  );
}
