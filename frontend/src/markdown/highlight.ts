/** A small highlighter: one pass, one expression per family of languages, DOM nodes out; never markup in. */
type Kind = "comment" | "string" | "number" | "keyword" | "name";

const words = (list: string) => new Set(list.split(" "));

const C_WORDS = words(
  "abstract as async await bool boolean break case catch char class const constexpr continue debugger default defer delete do double " +
    "else enum export extends extern false final finally float fn for foreach from fun func function go goto if impl implements import in " +
    "instanceof int interface is let long loop match mod module mut namespace new nil null nullptr of operator override package " +
    "private protected pub public range readonly return select self short signed sizeof static string struct super switch template " +
    "this throw throws trait true try type typeof undefined union unsafe unsigned use using val var virtual void volatile when where while yield",
);
const HASH_WORDS = words(
  "False None True and as assert async await begin break case class continue def del do done elif else elsif end ensure esac except exit " +
    "export false fi finally for from function global if import in is lambda local match module nil nonlocal not null or pass raise require rescue " +
    "return self set source then true try unless until while with yield FROM RUN COPY CMD ENTRYPOINT ENV WORKDIR EXPOSE ARG curl",
);
const SQL_WORDS = words(
  "add all alter and as asc begin between by case check column commit constraint create cross default delete desc distinct drop else end " +
    "exists false foreign from full group having if in index inner insert into is join key left like limit not null offset on or order outer " +
    "primary references returning right rollback select set table then true union unique update values view when where with",
);

const STRING = String.raw`"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?`;
const NUMBER = String.raw`\b(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\w*`;
const WORD = String.raw`[A-Za-z_$][\w$]*`;
const family = (comment: string, string: string) =>
  new RegExp(`(?<comment>${comment})|(?<string>${string})|(?<number>${NUMBER})|(?<word>${WORD})`, "g");

const C = { pattern: family(String.raw`\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)`, String.raw`\`(?:\\[^]|[^\\\`])*\`?|${STRING}`), words: C_WORDS };
const HASH = { pattern: family(String.raw`(?<![^\s;])#[^\n]*`, String.raw`"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|${STRING}`), words: HASH_WORDS };
const SQL = { pattern: family(String.raw`--[^\n]*|\/\*[^]*?(?:\*\/|$)`, STRING), words: SQL_WORDS };
const MARKUP = {
  pattern: new RegExp(String.raw`(?<comment><!--[^]*?(?:-->|$))|(?<keyword><\/?[A-Za-z][\w:-]*|\/?>)|(?<string>"[^"]*"|'[^']*')|(?<name>[\w:@-]+(?==))`, "g"),
  words: new Set<string>(),
};
const STYLE = {
  pattern: new RegExp(String.raw`(?<comment>\/\*[^]*?(?:\*\/|$))|(?<string>${STRING})|(?<keyword>@[\w-]+)|(?<number>#[\da-fA-F]{3,8}\b|\b\d[\d.]*(?:%|[a-z]+)?)|(?<name>[\w-]+(?=\s*:))`, "g"),
  words: new Set<string>(),
};

const families = new Map<string, { pattern: RegExp; words: Set<string> }>();
const know = (grammar: { pattern: RegExp; words: Set<string> }, names: string) => {
  for (const name of names.split(" ")) families.set(name, grammar);
};
know(C, "javascript js jsx mjs typescript ts tsx json jsonc java c h cpp c++ cc csharp cs go golang rust rs swift kotlin kt scala php dart zig groovy");
know(HASH, "python py python3 ruby rb shell sh bash zsh console yaml yml toml ini dockerfile makefile make r perl elixir julia nix");
know(SQL, "sql postgresql sqlite mysql plpgsql");
know(MARKUP, "html xml svg vue svelte");
know(STYLE, "css scss less");

/** The text as nodes, coloured where the language is known. */
export function highlight(text: string, language: string): Node[] {
  const grammar = families.get(language.toLowerCase());
  if (!grammar) return [document.createTextNode(text)];
  const nodes: Node[] = [];
  let plainFrom = 0;
  for (const found of text.matchAll(grammar.pattern)) {
    const kind = kindOf(found, grammar.words);
    if (!kind) continue;
    if (found.index > plainFrom) nodes.push(document.createTextNode(text.slice(plainFrom, found.index)));
    nodes.push(span(kind, found[0]));
    plainFrom = found.index + found[0].length;
  }
  if (plainFrom < text.length) nodes.push(document.createTextNode(text.slice(plainFrom)));
  return nodes;
}

function kindOf(found: RegExpExecArray, keywords: Set<string>): Kind | null {
  const groups = found.groups ?? {};
  const word = groups.word;
  if (word === undefined) return (Object.keys(groups).find((name) => groups[name] !== undefined) as Kind) ?? null;
  if (keywords.has(word) || keywords.has(word.toLowerCase())) return "keyword";
  return found.input[found.index + word.length] === "(" ? "name" : null;
}

function span(kind: Kind, text: string): HTMLElement {
  const element = document.createElement("span");
  element.className = `tok-${kind}`;
  element.textContent = text;
  return element;
}
