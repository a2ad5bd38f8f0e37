/** Draws blocks of markdown as DOM nodes, and lets those that still arrive grow in place. */
import type { Token, Tokens } from "marked";
import { codeBlock } from "./code";
import type { Footnote } from "./dialect";
import type { Formula } from "./formulas";
import { Inlines } from "./inline";
import { formulaNode } from "./math";

/** One block on the page. */
interface Piece {
  type: string;
  raw: string;
  node: Node;
  isClosed: boolean;
  /** Shows a longer version of the block by adding to it; false where it must be drawn anew. */
  grow(token: Token, isClosed: boolean): boolean;
}

/** The blocks inside an element. */
export class Blocks {
  #pieces: Piece[] = [];

  constructor(
    readonly root: HTMLElement,
    readonly isOutermost = false,
  ) {}

  /** Shows these blocks; of those that were there already, only what changed is touched. */
  update(tokens: Token[], isFinished: boolean): void {
    this.#pieces = tokens
      .map((token, at) => {
        const before = this.#pieces[at];
        const isClosed = isFinished || at < tokens.length - 1 || isFenceClosed(token);
        return before && stays(before, token, isClosed) ? before : this.#replace(before, token, isClosed);
      })
      .concat(this.#removed(tokens.length));
  }

  /** Lets go of the first blocks, which will not change any more. */
  freeze(count: number): void {
    this.#pieces.splice(0, count);
  }

  clear(): void {
    this.root.replaceChildren();
    this.#pieces = [];
  }

  #replace(before: Piece | undefined, token: Token, isClosed: boolean): Piece {
    const piece = pieceOf(token, isClosed);
    // Text has the direction of its own first words, and so has a list or a table as a whole; code and formulas have one.
    if (this.isOutermost && piece.node instanceof HTMLElement) piece.node.dir = FROM_THE_LEFT.has(token.type) ? "ltr" : "auto";
    if (before?.node.parentNode === this.root) this.root.replaceChild(piece.node, before.node);
    else this.root.append(piece.node);
    return piece;
  }

  #removed(from: number): Piece[] {
    for (const piece of this.#pieces.slice(from)) piece.node.parentNode?.removeChild(piece.node);
    return [];
  }
}

const FROM_THE_LEFT = new Set(["code", "formula"]);

function stays(piece: Piece, token: Token, isClosed: boolean): boolean {
  if (piece.type !== token.type) return false;
  const isSame = piece.raw === token.raw && (piece.isClosed || !isClosed);
  if (!isSame && !piece.grow(token, isClosed)) return false;
  piece.raw = token.raw;
  piece.isClosed = isClosed;
  return true;
}

type Drawn = Pick<Piece, "node"> & Partial<Pick<Piece, "grow">>;
const makers: Record<string, (token: never, isClosed: boolean) => Drawn> = {
  paragraph: (token: Tokens.Paragraph) => words("p", token.tokens),
  // The text of a tight list item: no paragraph around it.
  text: (token: Tokens.Text) => words("span", token.tokens ?? [token]),
  heading,
  code,
  list,
  blockquote,
  table,
  footnote,
  formula: (token: Formula) => ({ node: token.isOpen ? pending(token) : formulaNode(token.tex, true, token.raw) }),
  hr: () => ({ node: document.createElement("hr") }),
  space: () => ({ node: document.createTextNode("") }),
  def: () => ({ node: document.createTextNode("") }),
};

function pieceOf(token: Token, isClosed: boolean): Piece {
  const drawn = makers[token.type]?.(token as never, isClosed) ?? { node: asWritten(token) };
  return { grow: () => false, ...drawn, type: token.type, raw: token.raw, isClosed };
}

export function languageOf(token: Tokens.Code): string {
  return /^[\w+#.-]+/.exec(token.lang ?? "")?.[0].toLowerCase() ?? "";
}

function words(name: "p" | "span" | "h3", tokens: Token[]): Required<Drawn> {
  const node = document.createElement(name);
  const inlines = new Inlines(node);
  inlines.update(tokens);
  const grow = (token: Token) => {
    inlines.update("tokens" in token && token.tokens ? token.tokens : [token]);
    return true;
  };
  return { node, grow };
}

/** Models skip heading levels, and a skipped level misleads a screen reader: all sit one below the answer's own. */
function heading(token: Tokens.Heading): Drawn {
  const { node, grow } = words("h3", token.tokens);
  const drawn = node as HTMLElement;
  drawn.className = `heading-${token.depth}`;
  return { node, grow: (longer, isClosed) => (longer as Tokens.Heading).depth === token.depth && grow(longer, isClosed) };
}

function code(token: Tokens.Code, isClosed: boolean): Drawn {
  let isOpen = !isClosed;
  const block = codeBlock(token.text, languageOf(token), isClosed);
  const first = firstLine(token.raw);
  const grow = (longer: Token, isNowClosed: boolean) => {
    if (!isOpen || firstLine(longer.raw) !== first) return false;
    block.grow((longer as Tokens.Code).text);
    if (isNowClosed) block.close();
    isOpen = !isNowClosed;
    return true;
  };
  return { node: block.element, grow };
}

function blockquote(token: Tokens.Blockquote, isClosed: boolean): Drawn {
  const node = document.createElement("blockquote");
  const inner = new Blocks(node);
  const grow = (longer: Token, isNowClosed: boolean) => {
    inner.update((longer as Tokens.Blockquote).tokens, isNowClosed);
    return true;
  };
  grow(token, isClosed);
  return { node, grow };
}

function list(token: Tokens.List, isClosed: boolean): Drawn {
  const node = document.createElement(token.ordered ? "ol" : "ul");
  if (node instanceof HTMLOListElement && typeof token.start === "number" && token.start !== 1) node.start = token.start;
  const items: { raw: string; isClosed: boolean; blocks: Blocks }[] = [];
  const grow = (longer: Token, isNowClosed: boolean) => {
    const { items: wanted, ordered, start, loose } = longer as Tokens.List;
    // A list with space between its items has paragraphs in all of them.
    const isSameKind = ordered === token.ordered && start === token.start && loose === token.loose;
    if (!isSameKind || wanted.length < items.length) return false;
    for (const [at, item] of wanted.entries()) {
      const isItemClosed = isNowClosed || at < wanted.length - 1;
      const known = (items[at] ??= newItem(node));
      if (known.raw !== item.raw || known.isClosed !== isItemClosed) known.blocks.update(itemTokens(item), isItemClosed);
      Object.assign(known, { raw: item.raw, isClosed: isItemClosed });
    }
    return true;
  };
  grow(token, isClosed);
  return { node, grow };
}

function newItem(list: HTMLElement) {
  const node = document.createElement("li");
  list.append(node);
  return { raw: "", isClosed: false, blocks: new Blocks(node) };
}

/** A task's box is part of its first line, unless that has one of its own. */
function itemTokens(item: Tokens.ListItem): Token[] {
  if (!item.task || item.tokens.some((token) => token.type === "checkbox" || hasCheckbox(token))) {
    return item.tokens.map((token) => (token.type === "checkbox" ? { ...token, type: "text", tokens: [token] } : token));
  }
  const box = item.checked ? "☑ " : "☐ ";
  return [{ type: "text", raw: box, text: box }, ...item.tokens];
}

function hasCheckbox(token: Token): boolean {
  return "tokens" in token && !!token.tokens?.some((inner) => inner.type === "checkbox");
}

function table(token: Tokens.Table): Drawn {
  const node = document.createElement("div");
  node.className = "prose-table";
  node.tabIndex = 0;
  const drawn = document.createElement("table");
  drawn.createTHead().append(row(token.header, "th"));
  const body = drawn.createTBody();
  node.append(drawn);
  const head = written(token.header);
  const rows: string[] = [];
  const grow = (longer: Token) => {
    const wanted = longer as Tokens.Table;
    if (written(wanted.header) !== head || wanted.rows.length < rows.length) return false;
    for (const [at, cells] of wanted.rows.entries()) {
      const text = written(cells);
      if (rows[at] === text) continue;
      const made = row(cells, "td");
      if (at < rows.length) body.children[at]?.replaceWith(made);
      else body.append(made);
      rows[at] = text;
    }
    return true;
  };
  grow(token);
  return { node, grow };
}

const written = (cells: Tokens.TableCell[]) => cells.map(({ text, align }) => `${align ?? ""}:${text}`).join("|");

function row(cells: Tokens.TableCell[], name: "th" | "td"): HTMLTableRowElement {
  const made = document.createElement("tr");
  for (const cell of cells) {
    const drawn = document.createElement(name);
    new Inlines(drawn).update(cell.tokens);
    if (name === "th") drawn.setAttribute("scope", "col");
    if (cell.align === "right" || cell.align === "center") drawn.className = `align-${cell.align}`;
    made.append(drawn);
  }
  return made;
}

function footnote(token: Footnote): Drawn {
  const node = document.createElement("div");
  node.className = "footnote";
  const mark = document.createElement("sup");
  mark.textContent = token.name;
  const text = document.createElement("span");
  node.append(mark, " ", text);
  const inlines = new Inlines(text);
  inlines.update(token.tokens);
  const grow = (longer: Token) => {
    if ((longer as Footnote).name !== token.name) return false;
    inlines.update((longer as Footnote).tokens);
    return true;
  };
  return { node, grow };
}

/** A formula whose end is still to come, as far as it is written. */
function pending(token: Formula): HTMLElement {
  const node = document.createElement("div");
  node.className = "math math-display math-plain";
  node.textContent = token.raw.trim();
  return node;
}

/** Raw HTML and anything that we do not know: shown as it was written, line by line. */
function asWritten(token: Token): HTMLElement {
  const node = document.createElement("p");
  for (const [at, line] of token.raw.trim().split("\n").entries()) {
    if (at) node.append(document.createElement("br"));
    node.append(line);
  }
  return node;
}

function firstLine(raw: string): string {
  return raw.slice(0, raw.indexOf("\n") + 1);
}

function isFenceClosed(token: Token): boolean {
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(token.raw)?.[1];
  return token.type === "code" && fence !== undefined && token.raw.trimEnd().endsWith(`\n${fence}`);
}
