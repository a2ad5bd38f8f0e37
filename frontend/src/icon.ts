const sprite = document.documentElement.dataset.icons ?? "";
const SVG = "http://www.w3.org/2000/svg";

/** The address of one drawing in static/icons.svg. */
export function iconAddress(name: string): string {
  return `${sprite}#${name}`;
}

export function icon(name: string): SVGElement {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", iconAddress(name));
  drawing.append(use);
  return drawing;
}
