/** One text, rendered at most once per animation frame while it grows. */
import { createEffect, onCleanup, onMount, type JSX } from "solid-js";

import type { GrowingText } from "../growing-text.ts";
import { MarkdownView } from "../markdown-view.ts";

export function Markdown(props: { source: GrowingText; final: boolean }): JSX.Element {
  let root!: HTMLDivElement;
  onMount(() => {
    let view: MarkdownView | undefined;
    let rendered = { length: 0, revision: 0, final: false };
    let frame: number | undefined;

    const render = (source: GrowingText, final: boolean) => {
      frame = undefined;
      const { length, revision } = source;
      // Settled blocks are for texts that only grow; one that changed is rendered anew.
      if (!view || rendered.final || revision !== rendered.revision) {
        view = new MarkdownView(root);
        rendered = { length: 0, revision, final };
      }
      view.add(source.since(rendered.length), final);
      rendered = { length, revision, final };
    };

    createEffect(() => {
      const { source, final } = props;
      const { length, revision } = source;
      if (view && length === rendered.length && revision === rendered.revision && final === rendered.final) return;
      if (frame !== undefined) cancelAnimationFrame(frame);
      // What is there already must not appear a frame later, or the page would jump.
      if (!view) render(source, final);
      else frame = requestAnimationFrame(() => render(source, final));
    });
    onCleanup(() => frame !== undefined && cancelAnimationFrame(frame));
  });
  return <div class="prose" ref={root} />;
}
