/**
 * Draws markdown that is still arriving. Only the unfinished tail is parsed again; a block with another block after it
 * is finished, and its nodes are never touched again. Nodes are built one by one: model text never becomes markup.
 */
import { Lexer, type Token, type Tokens } from "marked";
import { blockNode, languageOf, listItem } from "./blocks";
import { codeBlock, type CodeBlock } from "./code";

interface Piece {
  raw: string;
  type: string;
  node: Node;
  isClosed: boolean;
  code?: CodeBlock;
  items?: string[];
}

export class MarkdownView {
  #source = "";
  #frozenLength = 0;
  #isFinished = false;
  #tail: Piece[] = [];
  #links: Lexer["tokens"]["links"] = {};

  constructor(readonly root: HTMLElement) {}

  /** Shows `content`, which normally is the earlier content with more at its end. */
  update(content: string, isFinished: boolean): void {
    const source = content.replace(/\r\n?/g, "\n");
    // What was finished has no open end that more could go on from: a stopped answer whose last words came after.
    if (!source.startsWith(this.#source) || (this.#isFinished && source !== this.#source)) this.#restart();
    this.#source = source;
    this.#isFinished ||= isFinished;
    const lexer = new Lexer({ gfm: true });
    // Link addresses that a finished block defined are known further down too.
    Object.assign(lexer.tokens.links, this.#links);
    const tokens = lexer.lex(source.slice(this.#frozenLength));
    this.#draw(tokens, isFinished);
    this.#freeze(tokens, isFinished);
  }

  #restart(): void {
    this.root.replaceChildren();
    this.#frozenLength = 0;
    this.#isFinished = false;
    this.#tail = [];
    this.#links = {};
  }

  #draw(tokens: Token[], isFinished: boolean): void {
    const pieces = tokens.map((token, at) => {
      const before = this.#tail[at];
      const isClosed = isFinished || at < tokens.length - 1 || isFenceClosed(token);
      return before && grow(before, token, isClosed) ? before : this.#replace(before, token, isClosed);
    });
    for (const piece of this.#tail.slice(tokens.length)) piece.node.parentNode?.removeChild(piece.node);
    this.#tail = pieces;
  }

  #replace(before: Piece | undefined, token: Token, isClosed: boolean): Piece {
    const piece = make(token, isClosed);
    if (before?.node.parentNode === this.root) this.root.replaceChild(piece.node, before.node);
    else this.root.append(piece.node);
    return piece;
  }

  /** Everything before the last block that has content will not change any more. */
  #freeze(tokens: Token[], isFinished: boolean): void {
    const last = tokens.findLastIndex((token) => token.type !== "space");
    const finished = isFinished ? tokens.length : Math.max(last, 0);
    for (const token of tokens.slice(0, finished)) {
      this.#frozenLength += token.raw.length;
      if (token.type === "def") this.#links[token.tag] = { href: token.href, title: token.title };
    }
    this.#tail.splice(0, finished);
  }
}

function make(token: Token, isClosed: boolean): Piece {
  const piece: Piece = { raw: token.raw, type: token.type, node: document.createTextNode(""), isClosed };
  if (token.type === "code") {
    piece.code = codeBlock(token.text, languageOf(token as Tokens.Code), isClosed);
    piece.node = piece.code.element;
    return piece;
  }
  piece.node = blockNode(token);
  if (token.type === "list") piece.items = (token as Tokens.List).items.map((item) => item.raw);
  return piece;
}

/** Brings a drawn piece up to date in place, where that is cheaper than drawing it anew; false where it is not. */
function grow(piece: Piece, token: Token, isClosed: boolean): boolean {
  if (piece.type !== token.type) return false;
  if (piece.code) return growCode(piece, piece.code, token as Tokens.Code, isClosed);
  if (piece.raw !== token.raw && !(token.type === "list" && growList(piece, token as Tokens.List))) return false;
  piece.raw = token.raw;
  return true;
}

function growCode(piece: Piece, code: CodeBlock, token: Tokens.Code, isClosed: boolean): boolean {
  if (piece.isClosed) return piece.raw === token.raw;
  if (firstLine(piece.raw) !== firstLine(token.raw)) return false;
  code.grow(token.text);
  if (isClosed) code.close();
  piece.raw = token.raw;
  piece.isClosed = isClosed;
  return true;
}

/** Keeps the items that are finished and draws the last one, and those after it, anew. */
function growList(piece: Piece, token: Tokens.List): boolean {
  const before = piece.items ?? [];
  const kept = Math.max(before.length - 1, 0);
  const element = piece.node as HTMLElement;
  const sameKind = element.tagName === (token.ordered ? "OL" : "UL") && token.items.length >= before.length;
  if (!sameKind || token.loose || !before.slice(0, kept).every((raw, at) => token.items[at]?.raw === raw)) return false;
  while (element.children.length > kept) element.lastElementChild?.remove();
  element.append(...token.items.slice(kept).map(listItem));
  piece.items = token.items.map((item) => item.raw);
  return true;
}

function firstLine(raw: string): string {
  return raw.slice(0, raw.indexOf("\n") + 1);
}

function isFenceClosed(token: Token): boolean {
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(token.raw)?.[1];
  return token.type === "code" && fence !== undefined && token.raw.trimEnd().endsWith(`\n${fence}`);
}
