/** Draws formulas with KaTeX, which is fetched with the first of them. Until then, and where it cannot, they read as written. */
type Katex = typeof import("./katex");

let loading: Promise<Katex> | null = null;

/** What would take long or push other things aside is refused by KaTeX, and stays as it was written. */
const LIMITS = { maxExpand: 500, maxSize: 20, trust: false, strict: false } as const;

export function formulaNode(tex: string, isDisplay: boolean, written: string): HTMLElement {
  const element = document.createElement("span");
  element.className = isDisplay ? "math math-display" : "math";
  element.textContent = written.trim();
  // A formula that is wider than the page scrolls, so it must be reachable from the keyboard.
  if (isDisplay) element.tabIndex = 0;
  void draw(element, tex, isDisplay);
  return element;
}

async function draw(element: HTMLElement, tex: string, isDisplay: boolean): Promise<void> {
  const written = element.textContent;
  try {
    loading ??= import("./katex");
    const { render } = await loading;
    const drawn = document.createElement("span");
    // Nodes, not markup: styles are set one by one, as the page's policy asks.
    render(tex, drawn, { ...LIMITS, displayMode: isDisplay, throwOnError: true, output: "htmlAndMathml" });
    element.replaceChildren(...drawn.childNodes);
  } catch (failure) {
    if (failure instanceof TypeError) loading = null;
    element.textContent = written;
    element.classList.add("math-plain");
  }
}
