/**
 * Content that is on the page only while it is near what is looked at.
 *
 * Everything stays in the normal flow: what is far away is an empty box of the height that it had,
 * or is thought to have. So the browser's own scroll anchoring holds the page still while boxes are
 * filled, and whatever measures the page (see `follow.ts`) measures the truth. A box that holds the
 * focus or a selection is kept.
 */
import {
  Show,
  createContext,
  createSignal,
  onCleanup,
  onMount,
  untrack,
  useContext,
  type Accessor,
  type JSX,
  type ParentProps,
} from "solid-js";

/** How far beyond the edge content is kept ready, in heights of the scroller. */
const MARGIN = "150% 0px";

export interface Windowing {
  watch(box: HTMLElement, near: (is: boolean) => void): () => void;
  readonly scroller: Accessor<HTMLElement>;
}

const WindowingContext = createContext<Windowing | undefined>();

export const WindowingProvider = WindowingContext.Provider;

export function createWindowing(scroller: Accessor<HTMLElement>): Windowing {
  const boxes = new Map<Element, (is: boolean) => void>();
  let observer: IntersectionObserver | undefined;
  const observe = (): IntersectionObserver =>
    (observer ??= new IntersectionObserver(
      (entries) => {
        for (const entry of entries) boxes.get(entry.target)?.(entry.isIntersecting);
      },
      { root: scroller(), rootMargin: MARGIN },
    ));
  onCleanup(() => observer?.disconnect());
  return {
    scroller,
    watch(box, near) {
      boxes.set(box, near);
      observe().observe(box);
      return () => {
        boxes.delete(box);
        observer?.unobserve(box);
      };
    },
  };
}

export function Windowed(props: ParentProps<{
  /** In pixels, until it is known. */
  estimate: number;
  /** On the page from the first moment: it is at the end, where reading begins. */
  eager: boolean;
  class?: string;
}>): JSX.Element {
  const windowing = useContext(WindowingContext);
  const eager = untrack(() => props.eager) || !windowing;
  const [shown, setShown] = createSignal(eager);
  const [height, setHeight] = createSignal<number | undefined>();
  let box!: HTMLDivElement;

  const fill = () => {
    const bottom = box.getBoundingClientRect().bottom;
    setShown(true);
    const scroller = windowing?.scroller();
    if (!scroller || bottom > scroller.getBoundingClientRect().top) return;
    // Above what is looked at: what comes after it stays where it is, in every browser.
    const moved = box.getBoundingClientRect().bottom - bottom;
    if (Math.abs(moved) >= 1) scroller.scrollTop += moved;
  };
  const empty = () => {
    if (box.contains(document.activeElement)) return;
    const selection = document.getSelection();
    if (selection && !selection.isCollapsed && selection.containsNode(box, true)) return;
    setHeight(box.offsetHeight);
    setShown(false);
  };
  onMount(() => {
    if (!windowing) return;
    const unwatch = windowing.watch(box, (near) => {
      if (near && !shown()) fill();
      else if (!near && shown()) empty();
    });
    onCleanup(unwatch);
  });
  return (
    <div
      ref={box}
      class={`windowed ${props.class ?? ""}`}
      // Nobody has said anything: somebody scrolled.
      aria-live={eager ? undefined : "off"}
      style={{ height: shown() ? undefined : `${height() ?? props.estimate}px` }}
    >
      <Show when={shown()}>{props.children}</Show>
    </div>
  );
}
