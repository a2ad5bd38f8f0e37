/** The markdown that models write: GitHub's, with what it lacks for Korean, Chinese and Japanese, formulas and footnotes. */
import { Lexer, Tokenizer, type Token, type Tokens } from "marked";
import { formulaBlock, formulaInline, nextFormulaBlock, nextFormulaInline } from "./formulas";

/** Deeper quotes, lists and emphasis are shown as they were written: nobody reads them, and drawing them takes ever longer. */
const DEEPEST = 32;

// Emphasis as the "CJK-friendly" amendment to CommonMark has it. Without it, `**중요(핵심)**은` stays unmarked, because a
// closing mark behind a bracket must have a space or a punctuation mark behind it, and there are none in such languages.
const CJK = String.raw`[\p{scx=Han}\p{scx=Hangul}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Bopomofo}\u3001-\u303f\uff01-\uffee]`;
const PUNCTUATION = String.raw`(?:(?!${CJK}|~)[\p{P}\p{S}])`;
/** Whatever is neither space nor such punctuation; and those of it that are not CJK. */
const LETTER = String.raw`(?:${CJK}|~|[^\s\p{P}\p{S}])`;
const OTHER = String.raw`(?:(?!${CJK})(?:~|[^\s\p{P}\p{S}]))`;

const rules = {
  punctuation: new RegExp(String.raw`^(?![*_])(?:[\s\p{P}\p{S}]|${CJK})`, "u"),
  emStrongLDelim: new RegExp(
    String.raw`^(?:\*+(?:((?!\*)${PUNCTUATION})|([^\s*]))?)|^_+(?:((?!_)${PUNCTUATION})|([^\s_]))?`, "u",
  ),
  // The groups say what a run of marks can be: 1 and 2 end emphasis, 3 and 4 begin it, 5 and 6 may do either.
  emStrongRDelimAst: new RegExp(
    [
      String.raw`^[^_*]*?__[^_*]*?\*[^_*]*?(?=__)`,
      String.raw`[^*]+(?=[^*])`,
      String.raw`(?!\*)${PUNCTUATION}(\*+)(?=\s|$)`,
      String.raw`(?:${OTHER}|${LETTER}(?=\*+(?:\s|$)))(\*+)(?!\*)(?=\s|${PUNCTUATION}|$)`,
      String.raw`(?!\*)(?:\s|${PUNCTUATION}(?=\*+${OTHER}))(\*+)(?=${LETTER})`,
      String.raw`\s(\*+)(?!\*)(?=${PUNCTUATION})`,
      String.raw`(?!\*)(?:${PUNCTUATION}|${CJK}(?=\*+${PUNCTUATION}))(\*+)(?!\*)(?=${PUNCTUATION}|${CJK})`,
      String.raw`${LETTER}(\*+)(?=${LETTER})`,
    ].join("|"),
    "gu",
  ),
};

/** Where an address that stands in the text by itself ends, though no space follows. */
const ADDRESS = new RegExp(String.raw`^(?:(?:https?|ftp):\/\/|www\.)[a-z0-9.:@-]*(?:[\/?#][^\s<]*)?`, "iu");
const ADDRESS_END = new RegExp(
  // Punctuation of these languages, and a word of theirs that follows Latin letters or digits at once: "…/a에서".
  String.raw`[\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65“”‘’…]|(?<=[a-z0-9)\]])${CJK}`, "iu",
);

class Dialect extends Tokenizer {
  #depth = 0;

  override blockquote(source: string): Tokens.Blockquote | undefined {
    return this.#deeper(() => super.blockquote(source));
  }

  override list(source: string): Tokens.List | undefined {
    return this.#deeper(() => super.list(source));
  }

  /** One tilde means "about" (`~5 min`, `10~20`); only two strike through. */
  override del(source: string, masked: string, before?: string): Tokens.Del | undefined {
    return source.startsWith("~~") ? this.#deeper(() => super.del(source, masked, before)) : undefined;
  }

  override emStrong(source: string, masked: string, before?: string): Tokens.Em | Tokens.Strong | undefined {
    return this.#deeper(() => super.emStrong(source, masked, before));
  }

  override url(source: string): Tokens.Link | undefined {
    const address = ADDRESS.exec(source)?.[0];
    if (!address) return super.url(source);
    const end = address.search(ADDRESS_END);
    return super.url(end < 0 ? address : address.slice(0, end));
  }

  #deeper<Found>(find: () => Found | undefined): Found | undefined {
    if (this.#depth >= DEEPEST) return undefined;
    this.#depth += 1;
    try {
      return find();
    } finally {
      this.#depth -= 1;
    }
  }
}

export interface Footnote extends Tokens.Generic {
  type: "footnote";
  name: string;
  tokens: Token[];
}

function footnote(this: { lexer: Lexer }, source: string): Footnote | undefined {
  const found = /^\[\^([^\]\s]{1,32})\]:[ \t]*([^\n]*(?:\n(?: {2,}|\t)[^\n]*)*)(?:\n+|$)/.exec(source);
  if (!found) return undefined;
  return { type: "footnote", raw: found[0], name: found[1]!, tokens: this.lexer.inline(found[2]!) };
}

function footnoteMark(source: string): Tokens.Generic | undefined {
  const found = /^\[\^([^\]\s]{1,32})\]/.exec(source);
  return found ? { type: "footnoteMark", raw: found[0], name: found[1]! } : undefined;
}

const at = (pattern: RegExp) => (source: string) => {
  const place = source.search(pattern);
  return place < 0 ? undefined : place;
};

/** A lexer for one text; `isWhole` once nothing more is to come. */
export function lexerFor(isWhole: boolean): Lexer {
  const tokenizer = new Dialect();
  const lexer = new Lexer({
    gfm: true,
    tokenizer,
    extensions: {
      renderers: {},
      childTokens: {},
      block: [(source) => formulaBlock(source, isWhole), footnote as never],
      startBlock: [nextFormulaBlock, at(/\n\[\^[^\]\s]{1,32}\]:/)],
      inline: [formulaInline, footnoteMark],
      startInline: [nextFormulaInline, at(/\[\^/)],
    },
  });
  tokenizer.rules = { ...tokenizer.rules, inline: { ...tokenizer.rules.inline, ...rules } };
  return lexer;
}
