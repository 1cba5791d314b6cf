/**
 * How much of the page a keyboard on the screen covers, as `--keyboard`: some browsers lay out
 * nothing anew when it comes, and tell only of the part that stays visible.
 */
export function followKeyboard(): void {
  const visible = window.visualViewport;
  if (!visible) return;
  const measure = () => {
    const { clientHeight, style } = document.documentElement;
    // What is out of sight because somebody has zoomed in is covered by nothing.
    const covered = visible.scale > 1 ? 0 : Math.max(0, Math.round(clientHeight - visible.offsetTop - visible.height));
    style.setProperty("--keyboard", `${covered}px`);
  };
  visible.addEventListener("resize", measure);
  visible.addEventListener("scroll", measure);
}
