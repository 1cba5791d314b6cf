/** Where reading usually is, below what stays at the top of a scroller. */
const BELOW_PX = 48;

/** Changes what is in a scroller; what is looked at stays where it is, in every browser. */
export function hold(scroller: HTMLElement, change: () => void): void {
  if (scroller.scrollTop === 0) return change();
  const { left, top, width } = scroller.getBoundingClientRect();
  const at = document.elementFromPoint(left + width / 2, top + BELOW_PX);
  // The nearest first: it may be replaced by what comes.
  const anchors = (scroller.contains(at) ? ["tr", "summary", "details", ".windowed"] : [])
    .flatMap((selector) => at?.closest(selector) ?? [])
    .map((element) => ({ element, top: element.getBoundingClientRect().top }));
  change();
  const held = anchors.find(({ element }) => element.isConnected);
  if (!held) return;
  const moved = held.element.getBoundingClientRect().top - held.top;
  if (Math.abs(moved) >= 1) scroller.scrollTop += moved;
}
