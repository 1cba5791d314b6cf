/** Specifications as people write them, line by line, and back. Purely. */
import type { Specification } from "#ui/protocol.ts";

export interface Written {
  /** `python 3.11`, one a line. */
  readonly runtime: string;
  /** One a line, or with spaces between. */
  readonly packages: string;
  readonly setup: string;
}

export function written(specification: Specification | undefined): Written {
  return {
    runtime: Object.entries(specification?.runtime ?? {})
      .map(([name, version]) => `${name} ${version}`)
      .join("\n"),
    packages: (specification?.packages ?? []).join("\n"),
    setup: specification?.setup ?? "",
  };
}

/** What was written, or what is wrong with it. Nothing written is no specification. */
export function specificationOf(text: Written): Specification | undefined | { readonly problem: string } {
  const runtime: Record<string, string> = {};
  for (const line of linesOf(text.runtime)) {
    const [, name, version] = /^([\w+-]+)[\s=:@]+(\S+)$/.exec(line) ?? [];
    if (name === undefined || version === undefined) {
      return { problem: `“${line}” is no runtime: write its name and its version, as in “python 3.11”.` };
    }
    runtime[name] = version;
  }
  const packages = text.packages.split(/[\s,]+/).filter(Boolean);
  const setup = text.setup.trim();
  if (Object.keys(runtime).length === 0 && packages.length === 0 && setup === "") return undefined;
  return {
    ...(Object.keys(runtime).length > 0 && { runtime }),
    ...(packages.length > 0 && { packages }),
    ...(setup !== "" && { setup }),
  };
}

export function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}
