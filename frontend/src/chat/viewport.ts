/** Keeps the composer above an on-screen keyboard that covers the page instead of shrinking it, as on iOS. */
export function followKeyboard(): void {
  const viewport = window.visualViewport;
  if (!viewport) return;
  const fit = () => {
    // Only a keyboard takes this much; zooming changes the height too, and is none of our business.
    const isCovered = viewport.scale === 1 && innerHeight - viewport.height > 120;
    const height = isCovered ? `${viewport.height}px` : "";
    if (document.body.style.height !== height) document.body.style.height = height;
    if (isCovered) scrollTo(0, 0);
  };
  viewport.addEventListener("resize", fit);
}
