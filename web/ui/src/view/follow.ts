/**
 * Keeps a scroller at its bottom while it is there already, and tells when more has come below.
 *
 * Scrolling up by any amount lets go at once; coming back to the end holds on again. What somebody
 * opens or folds stays where it is: that is no news.
 */
import { createEffect, createSignal, on, onCleanup, onMount, type Accessor } from "solid-js";

/** Coming closer than this to the end counts as being there. */
const NEAR_PX = 24;

export interface Follow {
  /** There is something below that has not been seen. */
  readonly behind: Accessor<boolean>;
  toEnd(): void;
}

export function createFollow(
  scroller: Accessor<HTMLElement>,
  content: Accessor<HTMLElement>,
  activity: Accessor<unknown>,
): Follow {
  const [behind, setBehind] = createSignal(false);
  let following = true;
  let top = 0;
  let height = 0;
  /** Whether growth is news, or what somebody has just opened. */
  let news = true;
  let touched = false;

  const toEnd = () => {
    following = true;
    setBehind(false);
    const element = scroller();
    element.scrollTop = element.scrollHeight;
    top = element.scrollTop;
  };

  const arrived = () => {
    news = true;
    if (!following) setBehind(true);
  };
  createEffect(on(activity, arrived, { defer: true }));

  onMount(() => {
    const element = scroller();
    const near = () => element.scrollHeight - element.clientHeight - element.scrollTop <= NEAR_PX;
    const scrolled = () => {
      // A page that became shorter moves up by itself, which says nothing about its reader.
      const up = element.scrollTop < top - 1 && element.scrollHeight >= height;
      // Only upwards is away from the end. What is told of a move down, ours or the browser's own,
      // may come after the page has grown again.
      following = !up && (following || near());
      if (following) setBehind(false);
      top = element.scrollTop;
      height = element.scrollHeight;
    };
    const resized = (changes: ResizeObserverEntry[]) => {
      height = element.scrollHeight;
      if (!following) return;
      const less = changes.some((change) => change.target === element);
      if (less || (news && !touched)) toEnd();
      else following = near();
    };
    // A click takes effect within two frames, a `toggle` event included; until then what arrives
    // does not move the page either.
    const clicked = () => {
      news = false;
      touched = true;
      requestAnimationFrame(() => requestAnimationFrame(() => (touched = false)));
    };
    const observer = new ResizeObserver(resized);
    observer.observe(content());
    observer.observe(element);
    element.addEventListener("scroll", scrolled, { passive: true });
    element.addEventListener("click", clicked);
    onCleanup(() => {
      observer.disconnect();
      element.removeEventListener("scroll", scrolled);
      element.removeEventListener("click", clicked);
    });
  });

  return { behind, toEnd };
}
