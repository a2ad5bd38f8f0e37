import type { Token, Tokens } from "marked";
import { icon } from "../icon";
import { t } from "../i18n";
import { decodeEntities } from "./entities";
import type { Formula } from "./formulas";
import { safeImage, safeLink } from "./links";
import { formulaNode } from "./math";

type Make = (token: never) => Node;

const makers: Record<string, Make> = {
  strong: ({ tokens }: Tokens.Strong) => wrap("strong", tokens),
  em: ({ tokens }: Tokens.Em) => wrap("em", tokens),
  del: ({ tokens }: Tokens.Del) => wrap("del", tokens),
  br: () => document.createElement("br"),
  codespan: ({ text }: Tokens.Codespan) => wrapText("code", text),
  escape: ({ text }: Tokens.Escape) => document.createTextNode(text),
  checkbox: ({ checked }: { checked: boolean }) => document.createTextNode(checked ? "☑ " : "☐ "),
  // Models write line breaks in tables so, where markdown has none; no other tag is anything but text.
  html: ({ raw }: Tokens.Tag) => (/^<br\s*\/?>$/i.test(raw.trim()) ? document.createElement("br") : document.createTextNode(raw)),
  formula: ({ tex, isDisplay, raw }: Formula) => formulaNode(tex, isDisplay, raw),
  footnoteMark: ({ name }: Tokens.Generic) => wrapText("sup", name as string),
  link,
  image,
  text,
};

/** The words inside an element; where more arrive, those that are there already stay. */
export class Inlines {
  #raws: string[] = [];
  #nodes: Node[][] = [];

  constructor(readonly root: HTMLElement) {}

  update(tokens: Token[]): void {
    let same = 0;
    while (same < tokens.length && this.#raws[same] === tokens[same]?.raw) same += 1;
    for (const node of this.#nodes.splice(same).flat()) node.parentNode?.removeChild(node);
    this.#raws.length = same;
    for (const token of tokens.slice(same)) {
      const [node] = inlineNodes([token]);
      // A fragment is empty once it was added: what was in it is what stays on the page.
      const nodes = node instanceof DocumentFragment ? [...node.childNodes] : node ? [node] : [];
      this.root.append(...nodes);
      this.#raws.push(token.raw);
      this.#nodes.push(nodes);
    }
  }
}

/** Draws inline markdown as DOM nodes. Raw HTML, and whatever else has no maker, shows as the text it was written in. */
export function inlineNodes(tokens: Token[]): Node[] {
  return tokens.map((token) => makers[token.type]?.(token as never) ?? document.createTextNode(token.raw));
}

function wrap(tag: string, tokens: Token[]): HTMLElement {
  const element = document.createElement(tag);
  element.append(...inlineNodes(tokens));
  return element;
}

function wrapText(tag: string, content: string): HTMLElement {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

function text(token: Tokens.Text): Node {
  if (!token.tokens) return document.createTextNode(decodeEntities(token.text));
  const fragment = document.createDocumentFragment();
  fragment.append(...inlineNodes(token.tokens));
  return fragment;
}

function link(token: Tokens.Link): Node {
  const address = safeLink(decodeEntities(token.href));
  const element = wrap(address ? "a" : "span", token.tokens);
  if (element instanceof HTMLAnchorElement && address) {
    element.href = address;
    element.target = "_blank";
    element.rel = "noopener noreferrer";
  }
  return element;
}

/** A remote picture tells its server who reads the answer, so it is fetched only after a click. */
function image(token: Tokens.Image): Node {
  const address = safeImage(decodeEntities(token.href));
  if (!address) return document.createTextNode(token.raw);
  const host = new URL(address).host;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "remote-image";
  button.append(icon("image"), t.imageFrom(host));
  button.addEventListener("click", () => load(button, address, decodeEntities(token.text) || t.imageAlt));
  return button;
}

function load(button: HTMLElement, address: string, alternative: string): void {
  const picture = new Image();
  picture.alt = alternative;
  picture.referrerPolicy = "no-referrer";
  picture.addEventListener("error", () => picture.replaceWith(imageLink(address)));
  picture.src = address;
  button.replaceWith(picture);
}

/** Where the picture cannot be shown inside the page, it can still be opened beside it. */
function imageLink(address: string): HTMLElement {
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.target = "_blank";
  anchor.rel = "noopener noreferrer";
  anchor.textContent = t.imageFailed(new URL(address).host);
  return anchor;
}
