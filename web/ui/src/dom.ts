/**
 * What compiled JSX imports, with templates made under a Trusted Types policy.
 *
 * The page is served with `require-trusted-types-for 'script'`, so no string becomes markup
 * unless a policy lets it. This policy lets through only what the compiler wrote at build time:
 * `template` is called by compiled modules with literals and by nobody else. Text that anybody
 * typed or generated goes through `markdown.ts`, which sanitises.
 */
import { untrack } from "solid-js";

export * from "solid-js/web";

interface Policy {
  createHTML(markup: string): string;
}

interface PolicyFactory {
  createPolicy(name: string, rules: Policy): Policy;
}

type Template = (() => Node) & { cloneNode: () => Node };

const factory = (globalThis as { trustedTypes?: PolicyFactory }).trustedTypes;
const compiled: Policy = factory?.createPolicy("compiled-templates", { createHTML: (markup) => markup }) ?? {
  createHTML: (markup) => markup,
};

/** The runtime's own `template`, but for the policy (see solid-js/web). */
export function template(markup: string, isImportNode?: boolean, isSVG?: boolean): Template {
  let node: Node | undefined;
  const create = (): Node => {
    const element = document.createElement("template");
    element.innerHTML = compiled.createHTML(markup);
    const first = element.content.firstChild;
    const made = isSVG ? first?.firstChild : first;
    if (!made) throw new Error("an empty template");
    return made;
  };
  const original = (): Node => (node ??= create());
  const make = isImportNode
    ? () => untrack(() => document.importNode(original(), true))
    : () => original().cloneNode(true);
  return Object.assign(make, { cloneNode: make });
}
