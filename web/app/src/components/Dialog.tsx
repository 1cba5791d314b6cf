/** Over the page until it is closed: the browser keeps the focus inside and gives it back. */
import { onMount, type JSX, type ParentProps } from "solid-js";

export function Dialog(props: ParentProps<{ label: string; class?: string; onClose: () => void }>): JSX.Element {
  let dialog!: HTMLDialogElement;
  onMount(() => dialog.showModal());
  return (
    <dialog
      ref={dialog}
      class={`dialog ${props.class ?? ""}`}
      aria-label={props.label}
      onClose={() => props.onClose()}
      // A click beside it is a click on the dialog itself, which has no padding.
      onClick={(event) => event.target === dialog && dialog.close()}
    >
      <div class="dialog-body">{props.children}</div>
    </dialog>
  );
}
