import type { JSX } from "solid-js";

import { Field } from "./Form.tsx";
import type { Written } from "./specification.ts";

export function SpecificationFields(props: { text: Written; onChange: (text: Written) => void }): JSX.Element {
  const change = (more: Partial<Written>) => props.onChange({ ...props.text, ...more });
  return (
    <>
      <div class="field-pair">
        <Field
          label="Runtimes"
          hint="Name and version, one a line."
          control={(ids) => (
            <textarea
              {...ids}
              class="mono"
              rows={3}
              spellcheck={false}
              placeholder={"node 22\npython 3.11"}
              value={props.text.runtime}
              onInput={(event) => change({ runtime: event.currentTarget.value })}
            />
          )}
        />
        <Field
          label="Packages"
          hint="Of the system’s package manager."
          control={(ids) => (
            <textarea
              {...ids}
              class="mono"
              rows={3}
              spellcheck={false}
              placeholder={"libpq-dev\njq"}
              value={props.text.packages}
              onInput={(event) => change({ packages: event.currentTarget.value })}
            />
          )}
        />
      </div>
      <Field
        label="Set-up script"
        hint="Runs in the workspace instead of the repository’s own set-up."
        control={(ids) => (
          <textarea
            {...ids}
            class="mono"
            rows={4}
            spellcheck={false}
            placeholder="make deps"
            value={props.text.setup}
            onInput={(event) => change({ setup: event.currentTarget.value })}
          />
        )}
      />
    </>
  );
}
