/** Finds LaTeX in markdown: `\(…\)`, `\[…\]`, `$$…$$`, environments, and `$…$` where it can be nothing else. */
import type { Tokens } from "marked";

/** What is longer is no formula, but text with a stray mark in it. */
const LONGEST = 10_000;

export interface Formula extends Tokens.Generic {
  type: "formula";
  tex: string;
  isDisplay: boolean;
  /** Whether its end is still to come. */
  isOpen: boolean;
}

const ENVIRONMENT =
  /^\\begin\{((?:equation|align|alignat|gather|multline|split|cases|dcases|array|CD|(?:small|[pbvBV])?matrix)\*?)\}[\s\S]*?\\end\{\1\}/;
const blocks = [
  { begin: /^ {0,3}\$\$/, end: "$$", whole: /^ {0,3}\$\$((?:\\[\s\S]|[^\\$])+?)\$\$[ \t]*(?:\n+|$)/ },
  { begin: /^ {0,3}\\\[/, end: "\\]", whole: /^ {0,3}\\\[([\s\S]+?)\\\][ \t]*(?:\n+|$)/ },
];

export function formulaBlock(source: string, isWhole: boolean): Formula | undefined {
  for (const { begin, end, whole } of blocks) {
    const opening = begin.exec(source)?.[0];
    if (opening === undefined) continue;
    const found = whole.exec(source.slice(0, LONGEST));
    if (found && isOneParagraph(found[1]!)) return formula(found[0], found[1]!, true);
    // While its end is still to come, nothing in it is markdown.
    const isUnfinished = !isWhole && source.length < LONGEST && !source.includes(end, opening.length) && isOneParagraph(source);
    if (isUnfinished) return { ...formula(source, source, true), isOpen: true };
  }
  const environment = ENVIRONMENT.exec(source.slice(0, LONGEST));
  if (environment) return formula(`${environment[0]}${/^[ \t]*\n*/.exec(source.slice(environment[0].length))?.[0] ?? ""}`, environment[0], true);
  return undefined;
}

export function nextFormulaBlock(source: string): number | undefined {
  const place = source.search(/\n {0,3}(?:\$\$|\\\[|\\begin\{)/);
  return place < 0 ? undefined : place + 1;
}

export function formulaInline(source: string): Formula | undefined {
  const text = source.slice(0, LONGEST);
  const marked = /^\\\(([^]+?)\\\)/.exec(text) ?? null;
  if (marked && isOneParagraph(marked[1]!)) return formula(marked[0], marked[1]!, false);
  const displayed = /^\\\[([^]+?)\\\]/.exec(text) ?? /^\$\$((?:\\[^]|[^\\$])+?)\$\$/.exec(text);
  if (displayed && isOneParagraph(displayed[1]!)) return formula(displayed[0], displayed[1]!, true);
  const single = /^\$(?![\s$])((?:\\[^\n]|[^\\$\n])*?(?:\\[^\n]|[^\\$\s]))\$(?![\w$])/.exec(text);
  if (single && cannotBeMoney(single[1]!)) return formula(single[0], single[1]!, false);
  const environment = ENVIRONMENT.exec(text);
  return environment ? formula(environment[0], environment[0], true) : undefined;
}

export function nextFormulaInline(source: string): number | undefined {
  const place = source.search(/\\[([]|\\begin\{|\$/);
  return place < 0 ? undefined : place;
}

function formula(raw: string, tex: string, isDisplay: boolean): Formula {
  return { type: "formula", raw, tex: tex.trim(), isDisplay, isOpen: false };
}

function isOneParagraph(tex: string): boolean {
  return tex.trim() !== "" && !/\n[ \t]*\n/.test(tex);
}

/** "$5 and $10" is money, `$HOME` a name; `$x$`, `$a_1$` and `$\frac12$` are formulas. */
function cannotBeMoney(tex: string): boolean {
  return /^[a-zA-Zα-ωΑ-Ω]'?$/.test(tex) || /[\\^_={}<>]|^[a-zA-Z0-9]+\s*[-+*/]\s*[a-zA-Z0-9]+$/.test(tex);
}
