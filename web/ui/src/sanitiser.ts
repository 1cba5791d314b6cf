/**
 * Markup of untrusted text as nodes that may go on the page: DOMPurify leaves a short list of tags
 * and attributes.
 *
 * The markup is parsed once, in a document that nothing runs in and that fetches nothing, and the
 * nodes themselves are cleaned there. They are never written out and parsed again, where they could
 * come out as something else.
 */
import DOMPurify, { type Config } from "dompurify";

const PLAIN_ATTRIBUTES = ["start", "align", "tabindex"];

const TEXT: Config = {
  ALLOWED_TAGS: [
    ..."p br strong em del code pre blockquote ul ol li hr a div".split(" "),
    ..."h3 h4 h5 h6 table thead tbody tr th td".split(" "),
  ],
  ALLOWED_ATTR: ["href", "title", "class", ...PLAIN_ATTRIBUTES],
  // These hold no address, so the rule for addresses is not theirs.
  ADD_URI_SAFE_ATTR: PLAIN_ATTRIBUTES,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  // A relative link would lead into this app and not into the repository.
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  IN_PLACE: true,
};

/** Of highlighted code: nothing but its colours, in what holds them. */
const COLOURS: Config = { ALLOWED_TAGS: ["div", "span"], ALLOWED_ATTR: ["class"], ALLOW_DATA_ATTR: false, IN_PLACE: true };

/** The only classes that a text can have: its styles must not be the page's. */
const OWN_CLASS = /^(?:language-[a-z+]+|hljs-[a-z_ -]+)$/;

/** Makes clean nodes of markup, in an element of their own. */
type Sanitise = (markup: string) => HTMLElement;

interface Policy {
  createHTML(markup: string): string;
}

interface PolicyFactory {
  createPolicy(name: string, rules: Policy): Policy;
}

/** For nothing but the element below, in which no markup does anything. */
const createPolicy = (): Policy => {
  const rules: Policy = { createHTML: (markup) => markup };
  return (globalThis as { trustedTypes?: PolicyFactory }).trustedTypes?.createPolicy("parsed-inertly", rules) ?? rules;
};

let inert: { page: Document; policy: Policy } | undefined;

/** One for each list, since changing lists costs more than most texts do. */
function createSanitiser(allowed: Config): Sanitise {
  const { page, policy } = (inert ??= { page: document.implementation.createHTMLDocument(), policy: createPolicy() });
  const sanitiser = DOMPurify(window);
  sanitiser.setConfig(allowed);
  sanitiser.addHook("afterSanitizeAttributes", (node) => {
    if (!OWN_CLASS.test(node.getAttribute("class") ?? "")) node.removeAttribute("class");
    if (node.tagName !== "A") return;
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  });
  return (markup) => {
    const parsed = page.createElement("div");
    parsed.innerHTML = policy.createHTML(markup);
    sanitiser.sanitize(parsed);
    return parsed;
  };
}

let ofText: Sanitise | undefined;
let ofColours: Sanitise | undefined;

export const sanitise: Sanitise = (markup) => (ofText ??= createSanitiser(TEXT))(markup);
export const sanitiseColours: Sanitise = (markup) => (ofColours ??= createSanitiser(COLOURS))(markup);
