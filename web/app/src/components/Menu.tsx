/** A button with a list behind it. Closes on Escape, on a choice, and when the focus leaves. */
import { createSignal, type JSX, type ParentProps } from "solid-js";

export function Menu(props: ParentProps<{ label: string; button: JSX.Element; class?: string }>): JSX.Element {
  const [open, setOpen] = createSignal(false);
  let root!: HTMLDivElement;
  let button!: HTMLButtonElement;
  const leave = (event: FocusEvent) => {
    if (!(event.relatedTarget instanceof Node && root.contains(event.relatedTarget))) setOpen(false);
  };
  const keyDown = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !open()) return;
    event.stopPropagation();
    setOpen(false);
    button.focus();
  };
  return (
    <div class={`menu ${props.class ?? ""}`} ref={root} onFocusOut={leave} onKeyDown={keyDown}>
      <button
        ref={button}
        class="icon-button"
        aria-label={props.label}
        aria-expanded={open()}
        onClick={() => setOpen(!open())}
      >
        {props.button}
      </button>
      <div class="menu-list" hidden={!open()} onClick={() => setOpen(false)} tabindex="-1">
        {props.children}
      </div>
    </div>
  );
}
