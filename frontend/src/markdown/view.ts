/**
 * Draws markdown that is still arriving. Only the unfinished tail is parsed again; a block with another block after it
 * is finished, and its nodes are never touched again. Nodes are built one by one: model text never becomes markup.
 */
import type { Lexer, Token } from "marked";
import { Blocks } from "./blocks";
import { lexerFor } from "./dialect";

export class MarkdownView {
  #source = "";
  #frozenLength = 0;
  #isFinished = false;
  #links: Lexer["tokens"]["links"] = {};
  readonly #blocks: Blocks;

  constructor(readonly root: HTMLElement) {
    this.#blocks = new Blocks(root, true);
  }

  /** Shows `content`, which normally is the earlier content with more at its end. */
  update(content: string, isFinished: boolean): void {
    const source = content.replace(/\r\n?/g, "\n");
    if (source === this.#source && isFinished === this.#isFinished) return;
    // What was finished has no open end that more could go on from: a stopped answer whose last words came after.
    if (!source.startsWith(this.#source) || this.#isFinished) this.#restart();
    this.#source = source;
    this.#isFinished = isFinished;
    const tokens = this.#parse(source.slice(this.#frozenLength), isFinished);
    this.#blocks.update(tokens, isFinished);
    this.#freeze(tokens, isFinished);
  }

  #parse(text: string, isFinished: boolean): Token[] {
    const lexer = lexerFor(isFinished);
    // Link addresses that a finished block defined are known further down too.
    Object.assign(lexer.tokens.links, this.#links);
    return lexer.lex(text);
  }

  #restart(): void {
    this.#blocks.clear();
    this.#frozenLength = 0;
    this.#links = {};
  }

  /** Everything before the last block that has content will not change any more. */
  #freeze(tokens: Token[], isFinished: boolean): void {
    const last = tokens.findLastIndex((token) => token.type !== "space");
    const finished = isFinished ? tokens.length : Math.max(last, 0);
    for (const token of tokens.slice(0, finished)) {
      this.#frozenLength += token.raw.length;
      if (token.type === "def") this.#links[token.tag] = { href: token.href, title: token.title };
    }
    this.#blocks.freeze(finished);
  }
}
