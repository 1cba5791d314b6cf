/** One text, rendered at most once per animation frame while it grows. */
import { createEffect, onCleanup, onMount, type JSX } from "solid-js";

import { MarkdownView } from "../markdown-view.ts";

export function Markdown(props: { text: string; final: boolean }): JSX.Element {
  let root!: HTMLDivElement;
  onMount(() => {
    let view = new MarkdownView(root);
    let rendered: string | undefined;
    let closed = false;
    let frame: number | undefined;

    const render = (text: string, final: boolean) => {
      frame = undefined;
      // Settled blocks are for texts that only grow; one that changed is rendered anew.
      if (rendered !== undefined && (closed || !text.startsWith(rendered))) {
        view = new MarkdownView(root);
      }
      view.render(text, final);
      rendered = text;
      closed = final;
    };

    createEffect(() => {
      const { text, final } = props;
      if (text === rendered && final === closed) return;
      if (frame !== undefined) cancelAnimationFrame(frame);
      // What is there already must not appear a frame later, or the page would jump.
      if (rendered === undefined) render(text, final);
      else frame = requestAnimationFrame(() => render(text, final));
    });
    onCleanup(() => frame !== undefined && cancelAnimationFrame(frame));
  });
  return <div class="prose" ref={root} />;
}
