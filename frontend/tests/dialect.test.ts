import { describe, expect, test } from "vitest";
import { MarkdownView } from "../src/markdown/view";

function drawn(source: string, isFinished = true): HTMLElement {
  const root = document.createElement("div");
  new MarkdownView(root).update(source, isFinished);
  return root;
}

const texts = (source: string, selector: string) => [...drawn(source).querySelectorAll(selector)].map((element) => element.textContent);

describe("emphasis in Korean, Chinese and Japanese", () => {
  test.each([
    ["**注意：**请看", ["注意："]],
    ["这是**重要（关键）**的", ["重要（关键）"]],
    ["**중요(핵심)**은 매우 **큰** 것", ["중요(핵심)", "큰"]],
    ['그는 **"안녕"**이라고 했다', ['"안녕"']],
    ["これは**「引用」**です。", ["「引用」"]],
    ["**`foo`**은 함수다", ["foo"]],
    ["**[링크](https://a.example)**와 **끝.**입니다", ["링크", "끝."]],
    ["**太字**と**太字**", ["太字", "太字"]],
    ["这是**“重要”**的", ["“重要”"]],
    ["価格は**$5**です", ["$5"]],
    ["**가.** **나!**다", ["가.", "나!"]],
  ])("%s", (source, strong) => {
    expect(texts(source, "strong")).toEqual(strong);
    expect(drawn(source).textContent).not.toContain("**");
  });

  test.each([
    ["a **b** c", ["b"]],
    ["2 ** 3 ** 4", []],
    ["**not (closed)**word", []],
    ["f**(x)**", []],
    ["***both*** and **a *b* c**", ["both", "a b c"]],
    ["`**code**` **x**", ["x"]],
  ])("leaves other languages as GitHub has them: %s", (source, strong) => {
    expect(texts(source, "strong")).toEqual(strong);
  });

  test("an underscore inside a word is no emphasis", () => {
    expect(texts("snake_case_name 변수_이름_값", "em")).toEqual([]);
  });
});

test.each(["takes ~5 min, or ~10 min at most; 10~20 and 30~40", "약 3~5일, 5~7일", "~/a and ~/b"])("a tilde means about: %s", (source) => {
  expect(texts(source, "del")).toEqual([]);
  expect(drawn(source).textContent).toBe(source);
});

test("two tildes strike through", () => expect(texts("a ~~gone~~ b", "del")).toEqual(["gone"]));

test.each([
  ["见 https://example.com/a，谢谢", "https://example.com/a"],
  ["https://example.com/a。", "https://example.com/a"],
  ["(https://example.com/a)에서", "https://example.com/a"],
  ["https://example.com/a에서 받으세요", "https://example.com/a"],
  ["https://example.com에서", "https://example.com/"],
  ["「https://example.com/a」", "https://example.com/a"],
  ["https://ko.wikipedia.org/wiki/여우 참고", "https://ko.wikipedia.org/wiki/%EC%97%AC%EC%9A%B0"],
  ["see https://example.com/a_b?c=d#e, and", "https://example.com/a_b?c=d#e"],
  ["www.example.com/x、", "http://www.example.com/x"],
  ["mail to a@example.com.", "mailto:a@example.com"],
])("an address ends where it ends: %s", (source, href) => {
  expect([...drawn(source).querySelectorAll("a")].map((link) => link.href)).toEqual([href]);
});

test("a line break of HTML is one, in a table and elsewhere, and nothing else is", () => {
  expect(drawn("| a | b |\n|---|---|\n| one<br>two | x<BR/>y |").querySelector("td")?.innerHTML).toBe("one<br>two");
  expect(drawn("a<br onload=alert(1)>b").querySelector("br")).toBeNull();
});

test("a footnote's text is there, and so is its mark", () => {
  const root = drawn("Text[^1] and more[^note].\n\n[^1]: The **source**\n[^note]: https://example.org/x");
  expect([...root.querySelectorAll("sup")].map((mark) => mark.textContent)).toEqual(["1", "note", "1", "note"]);
  expect(root.querySelector(".footnote strong")?.textContent).toBe("source");
  expect(root.querySelectorAll(".footnote")).toHaveLength(2);
});

describe("formulas", () => {
  test.each([
    ["Then \\[ x^2 + \\frac{a}{b} \\] and \\( a_1 * b_1 * c \\).", ["\\[ x^2 + \\frac{a}{b} \\]", "\\( a_1 * b_1 * c \\)"]],
    ["$$\na_1 * b_1 * c\n$$", ["$$\na_1 * b_1 * c\n$$"]],
    ["so $x$ and $a_1$ hold", ["$x$", "$a_1$"]],
    ["\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}", ["\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}"]],
    ["text\n\\[ y \\]\nmore", ["\\[ y \\]"]],
  ])("reads as it was written until it is drawn: %s", (source, written) => {
    const root = drawn(source);
    expect([...root.querySelectorAll(".math")].map((math) => math.textContent)).toEqual(written);
    expect(root.querySelector("em")).toBeNull();
  });

  test.each(["$5 and $10", "US$5 to US$6.", "between $5-$10", "$HOME and $PATH", "$HOME/$USER", "costs 5$ or 6$", "a $ b $ c", "`$x$`"])(
    "money and names are none: %s",
    (source) => {
      expect(drawn(source).querySelector(".math")).toBeNull();
      expect(drawn(source).textContent).toBe(source.replaceAll("`", ""));
    },
  );

  test("while its end is still to come nothing in it is markdown, and one that never ends is text", () => {
    expect(drawn("$$\na_1 * b_1 * c", false).querySelector("em")).toBeNull();
    expect(drawn("\\[ a * b * c", false).querySelector(".math-plain")?.textContent).toBe("\\[ a * b * c");
    expect(drawn("$$ is what they say").textContent).toBe("$$ is what they say");
  });
});

test.each([
  ["quotes", "> ".repeat(3000) + "deep"],
  ["lists", Array.from({ length: 400 }, (_, level) => `${"  ".repeat(level)}- x`).join("\n")],
  ["lists on a line", "- ".repeat(3000) + "x"],
  ["numbered lists on a line", "1. ".repeat(3000) + "x"],
  ["lists in quotes", "> - ".repeat(3000) + "x"],
  ["emphasis", `${"*a _b ".repeat(1500)}x${" b_ a*".repeat(1500)}`],
  ["struck emphasis", `${"~~a **b ".repeat(1000)}x${" b** a~~".repeat(1000)}`],
  ["images", `${"![a".repeat(3000)}x${"](a)".repeat(3000)}`],
  ["links", `${"[a".repeat(3000)}x${"](a)".repeat(3000)}`],
  ["tags", `${"<b>".repeat(3000)}x`],
  ["brackets", "[".repeat(3000) + "x"],
  ["stars", "**a ".repeat(3000)],
  ["dollars", "$a ".repeat(3000)],
  ["formulas", "\\(".repeat(3000)],
  ["braces", `$$${"{".repeat(3000)}x${"}".repeat(3000)}$$`],
  ["footnotes", "[^".repeat(3000)],
  ["addresses", "https://".repeat(3000)],
])("deep or endless %s take no time and lose no word", (_, source) => {
  const began = process.cpuUsage();
  const root = drawn(source);
  expect(process.cpuUsage(began).user / 1000).toBeLessThan(10_000);
  expect(root.textContent).toMatch(/deep|x|a|\(|\^|http/);
  let depth = 0;
  for (let node: Element | null = root; node; node = node.lastElementChild) depth += 1;
  expect(depth).toBeLessThan(150);
}, 60_000);

test("text has the direction of its own first words, and code that of code", () => {
  const root = drawn("# مرحبا\n\nمرحبا\n\n- نص\n\n| أ |\n|---|\n| ب |");
  expect([...root.querySelectorAll("h3, p, ul, .prose-table")].every((element) => element.getAttribute("dir") === "auto")).toBe(true);
  // An element with a direction of its own would not count for that of the list around it.
  expect(root.querySelectorAll("li[dir], td[dir]")).toHaveLength(0);
  expect(drawn("```\nمرحبا\n```").firstElementChild?.getAttribute("dir")).toBe("ltr");
});
