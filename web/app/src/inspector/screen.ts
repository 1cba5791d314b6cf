/**
 * The screen of a terminal: xterm.js under this page's policy.
 *
 * It writes its styles into `<style>` elements and `style` attributes, which the policy refuses;
 * here they become constructed style sheets and properties, which are no markup. What programs in the sandbox print is untrusted:
 * a title is text, a link opens only on the web and only when it is clicked, and nothing reads or
 * writes the clipboard for them.
 */
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";

export interface Screen {
  readonly terminal: Terminal;
  /** The window that fits the place it has; undefined while it has none. */
  fitting(): { columns: number; rows: number } | undefined;
  theme(): void;
  dispose(): void;
}

export function createScreen(place: HTMLElement): Screen {
  const restore = stylesUnderPolicy();
  const terminal = new Terminal({
    fontFamily: getComputedStyle(place).getPropertyValue("--mono"),
    fontSize: 13,
    lineHeight: 1.2,
    cursorBlink: false,
    disableStdin: true,
    scrollback: 5_000,
    // A program chooses its colours without knowing ours.
    minimumContrastRatio: 4.5,
    linkHandler: {
      allowNonHttpProtocols: false,
      activate: (_, address) => {
        if (/^https?:\/\//i.test(address)) window.open(address, "_blank", "noopener,noreferrer");
      },
    },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(place);
  const theme = () => {
    const style = getComputedStyle(place);
    terminal.options.theme = {
      background: style.backgroundColor,
      foreground: style.color,
      cursor: style.color,
      cursorAccent: style.backgroundColor,
      selectionBackground: "#7f8fd080",
    };
  };
  theme();
  return {
    terminal,
    theme,
    fitting() {
      const size = fit.proposeDimensions();
      return size && size.cols > 1 && size.rows > 1 ? { columns: size.cols, rows: size.rows } : undefined;
    },
    dispose() {
      terminal.dispose();
      restore();
    },
  };
}

/**
 * For as long as there is a screen: it makes its elements by the page's own document, whatever
 * other document it is given.
 */
function stylesUnderPolicy(): () => void {
  const sheets: CSSStyleSheet[] = [];
  const make = document.createElement.bind(document);
  const makeUnderPolicy = (tag: string): HTMLElement => {
    const element = make(tag === "style" ? "span" : tag);
    if (tag === "style") {
      const sheet = new CSSStyleSheet();
      sheets.push(sheet);
      document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
      element.hidden = true;
      Object.defineProperty(element, "textContent", { set: (text: string) => sheet.replaceSync(text), get: () => "" });
    } else if (tag === "span") {
      element.setAttribute = setAttribute;
    }
    return element;
  };
  document.createElement = makeUnderPolicy as typeof make;
  return () => {
    Reflect.deleteProperty(document, "createElement");
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => !sheets.includes(sheet));
  };
}

function setAttribute(this: HTMLElement, name: string, value: string): void {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}
