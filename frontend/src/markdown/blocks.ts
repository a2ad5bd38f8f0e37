import type { Token, Tokens } from "marked";
import { codeBlock } from "./code";
import { inlineNodes } from "./inline";

/** Draws one block of markdown as a DOM node. */
export function blockNode(token: Token): Node {
  switch (token.type) {
    case "paragraph":
      return paragraph(token as Tokens.Paragraph);
    case "text":
      return textBlock(token as Tokens.Text);
    case "heading":
      return heading(token as Tokens.Heading);
    case "code":
      return codeBlock(token.text, languageOf(token as Tokens.Code), true).element;
    case "list":
      return list(token as Tokens.List);
    case "blockquote":
      return fill(document.createElement("blockquote"), blockNodes(token.tokens ?? []));
    case "table":
      return table(token as Tokens.Table);
    case "hr":
      return document.createElement("hr");
    case "space":
    case "def":
      return document.createTextNode("");
    default:
      // Raw HTML and anything that we do not know: shown as it was written, line by line.
      return fill(document.createElement("p"), lines(token.raw.trim()));
  }
}

export function blockNodes(tokens: Token[]): Node[] {
  return tokens.map(blockNode);
}

export function languageOf(token: Tokens.Code): string {
  return /^[\w+#.-]+/.exec(token.lang ?? "")?.[0].toLowerCase() ?? "";
}

function fill<Element extends HTMLElement>(element: Element, nodes: Node[]): Element {
  element.append(...nodes);
  return element;
}

function paragraph(token: Tokens.Paragraph): HTMLElement {
  return fill(document.createElement("p"), inlineNodes(token.tokens));
}

/** The text of a tight list item: no paragraph around it. */
function textBlock(token: Tokens.Text): Node {
  return fill(document.createElement("span"), inlineNodes(token.tokens ?? [token]));
}

/** Models skip heading levels, and a skipped level misleads a screen reader: all sit one below the answer's own. */
function heading(token: Tokens.Heading): HTMLElement {
  const element = document.createElement("h3");
  element.className = `heading-${token.depth}`;
  return fill(element, inlineNodes(token.tokens));
}

function list(token: Tokens.List): HTMLElement {
  const element = document.createElement(token.ordered ? "ol" : "ul");
  if (element instanceof HTMLOListElement && typeof token.start === "number" && token.start !== 1) {
    element.start = token.start;
  }
  return fill(element, token.items.map(listItem));
}

export function listItem(item: Tokens.ListItem): HTMLElement {
  const element = document.createElement("li");
  if (item.task && !item.tokens.some((token) => token.type === "checkbox" || hasCheckbox(token))) {
    element.append(item.checked ? "☑ " : "☐ ");
  }
  return fill(element, item.tokens.map((token) => (token.type === "checkbox" ? inlineNodes([token])[0]! : blockNode(token))));
}

function hasCheckbox(token: Token): boolean {
  return "tokens" in token && !!token.tokens?.some((inner) => inner.type === "checkbox");
}

function table(token: Tokens.Table): HTMLElement {
  const frame = document.createElement("div");
  frame.className = "prose-table";
  frame.tabIndex = 0;
  const element = document.createElement("table");
  fill(element.createTHead(), [row(token.header, "th")]);
  fill(element.createTBody(), token.rows.map((cells) => row(cells, "td")));
  return fill(frame, [element]);
}

function row(cells: Tokens.TableCell[], tag: "th" | "td"): HTMLElement {
  return fill(
    document.createElement("tr"),
    cells.map((cell) => {
      const element = fill(document.createElement(tag), inlineNodes(cell.tokens));
      if (tag === "th") element.setAttribute("scope", "col");
      if (cell.align === "right" || cell.align === "center") element.className = `align-${cell.align}`;
      return element;
    }),
  );
}

function lines(text: string): Node[] {
  return text.split("\n").flatMap((line, number) => {
    const words = document.createTextNode(line);
    return number ? [document.createElement("br"), words] : [words];
  });
}
