import type { JSX } from "solid-js";

import { LinesField } from "./Form.tsx";
import type { Written } from "./specification.ts";

export function SpecificationFields(props: { text: Written; onChange: (text: Written) => void }): JSX.Element {
  const change = (more: Partial<Written>) => props.onChange({ ...props.text, ...more });
  return (
    <>
      <div class="field-pair">
        <LinesField
          label="Runtimes"
          hint="Name and version, one a line."
          rows={3}
          placeholder={"node 22\npython 3.11"}
          value={props.text.runtime}
          onInput={(value) => change({ runtime: value })}
        />
        <LinesField
          label="Packages"
          hint="Of the system’s package manager."
          rows={3}
          placeholder={"libpq-dev\njq"}
          value={props.text.packages}
          onInput={(value) => change({ packages: value })}
        />
      </div>
      <LinesField
        label="Set-up script"
        hint="Runs in the workspace instead of the repository’s own set-up."
        rows={4}
        placeholder="make deps"
        value={props.text.setup}
        onInput={(value) => change({ setup: value })}
      />
    </>
  );
}
