import { beforeEach, describe, expect, test } from "vitest";
import { MarkdownView } from "../src/markdown/view";

let root: HTMLElement;

beforeEach(() => {
  root = document.createElement("div");
});

function drawn(source: string): HTMLElement {
  new MarkdownView(root).update(source, true);
  return root;
}

function streamed(source: string, size: number): HTMLElement {
  const element = document.createElement("div");
  const view = new MarkdownView(element);
  for (let end = size; end < source.length; end += size) view.update(source.slice(0, end), false);
  view.update(source, true);
  return element;
}

describe("hostile markdown", () => {
  test.each([
    "<script>window.pwned = 1</script>",
    '<img src=x onerror="pwned()">',
    'text <svg onload="pwned()"> text',
    '<iframe src="https://example.org"></iframe>',
    '<a href="javascript:pwned()">x</a>',
    "<style>body { display: none }</style>",
    "<form action=/logout><button>x</button></form>",
    "- <b onmouseover=pwned()>item</b>",
    "| <img src=x onerror=pwned()> |\n|---|\n| <script>1</script> |",
    "> <script>1</script>",
    "# <script>1</script>",
    "```<script>\n</code></pre><script>1</script>\n```",
    "`<script>1</script>`",
  ])("shows raw HTML as text: %s", (source) => {
    const element = drawn(source);
    expect(element.querySelector("script, iframe, style, form, svg:not(.icon), img, b, [onerror], [onload], [onmouseover]")).toBeNull();
    expect(element.querySelector("a")).toBeNull();
    const visible = source.replace(/^[`#>|\s-]+/, "").split(/[\n`|]/)[0]!.trim();
    expect(element.textContent).toContain(visible);
  });

  test.each([
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java&#115;cript:alert(1)", "&#106;avascript:alert(1)", "javascript&colon;alert(1)",
    "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:x", "/logout", "//example.org", "logout", "#x", "\u0001javascript:alert(1)",
    "https&#58;//example.org\\@x y",
  ])("makes no link of %s", (address) => {
    expect(drawn(`[label](${address})`).querySelector("a[href]:not([href^='http'])")).toBeNull();
    expect(drawn(`[label](<${address}>)`).querySelector("a[href]:not([href^='http'])")).toBeNull();
  });

  test("an image is a button until it is clicked, and then sends no referrer", () => {
    const element = drawn("![a cat](https://example.org/cat.png)");
    expect(element.querySelector("img")).toBeNull();
    const button = element.querySelector("button")!;
    expect(button.textContent).toContain("example.org");
    button.click();
    const picture = element.querySelector("img")!;
    expect([picture.alt, picture.src, picture.referrerPolicy]).toEqual(["a cat", "https://example.org/cat.png", "no-referrer"]);
  });

  test.each(["javascript:alert(1)", "data:image/svg+xml,<svg/>", "/logout"])("makes no image of %s", (address) => {
    expect(drawn(`![x](${address})`).querySelector("img, button")).toBeNull();
  });
});

test("links open beside the page and tell nobody where they came from", () => {
  const links = [...drawn("[a](https://example.org/?a=1&amp;b=2) https://example.com <mailto:a@example.org>").querySelectorAll("a")];
  expect(links.map((link) => link.getAttribute("href"))).toEqual(["https://example.org/?a=1&b=2", "https://example.com/", "mailto:a@example.org"]);
  for (const link of links) expect([link.rel, link.target]).toEqual(["noopener noreferrer", "_blank"]);
});

test("character references are decoded once", () => {
  expect(drawn("AT&amp;T &lt;b&gt; &copy; &#x41; &unknown; &amp;lt;").textContent).toBe("AT&T <b> © A &unknown; &lt;");
});

const everything = `# Title

Text with **strong**, *em*, ~~gone~~, \`code\` and [a link](https://example.org).
A second line.\\
A third.

- one
- two
  - nested

  continued
- three

1. first
2. second

> quoted

| a | b |
|---|--:|
| 1 | 2 |

\`\`\`python
def f(x):
    return x

print(f(1))
\`\`\`

- [x] done
- [ ] open

---

[ref]: https://example.org/ref

See [ref] and the end.\r
Last line.`;

describe("a stream of markdown", () => {
  test.each([1, 2, 3, 7, 50])("ends like the same text drawn at once, in pieces of %i characters", (size) => {
    expect(streamed(everything, size).innerHTML).toBe(drawn(everything).innerHTML);
  });

  test("never touches a finished block again", () => {
    const view = new MarkdownView(root);
    view.update("First.\n\nSecond.\n\nThi", false);
    const [first, second] = root.children;
    view.update("First.\n\nSecond.\n\nThird with *more", false);
    view.update("First.\n\nSecond.\n\nThird with *more*.\n\n```js\nlet a", true);
    expect([root.children[0], root.children[1]]).toEqual([first, second]);
    expect(root.children[0]).toBe(first);
  });

  test("adds to an open code block without drawing it anew, and colours it when it closes", () => {
    const view = new MarkdownView(root);
    view.update("```js\nlet a = 1;\n", false);
    const code = root.querySelector("code")!;
    const text = code.firstChild;
    view.update("```js\nlet a = 1;\nlet b", false);
    expect(root.querySelector("code")).toBe(code);
    expect(code.firstChild).toBe(text);
    expect(code.querySelector(".tok-keyword")).toBeNull();
    view.update("```js\nlet a = 1;\nlet b = 2;\n```\n", false);
    expect(root.querySelector("code")).toBe(code);
    expect(code.querySelectorAll(".tok-keyword")).toHaveLength(2);
    expect(code.textContent).toBe("let a = 1;\nlet b = 2;");
  });

  test("keeps the finished items of a list that grows", () => {
    const view = new MarkdownView(root);
    view.update("- one\n- two\n- th", false);
    const first = root.querySelector("li");
    view.update("- one\n- two\n- three\n- four", false);
    expect(root.querySelector("li")).toBe(first);
    expect([...root.querySelectorAll("li")].map((item) => item.textContent)).toEqual(["one", "two", "three", "four"]);
  });

  test.each(["Jumps over", "- one\n- two", "```js\nlet a", "# Head"])("goes on from %j though it was taken for the end", (stopped) => {
    const view = new MarkdownView(root);
    view.update(stopped, true);
    view.update(stopped, false);
    view.update(`${stopped} the dog`, true);
    const streamedOn = root.innerHTML;
    root.replaceChildren();
    expect(streamedOn).toBe(drawn(`${stopped} the dog`).innerHTML);
  });

  test("starts over when the text is replaced", () => {
    const view = new MarkdownView(root);
    view.update("Wrong start.\n\nMore", false);
    view.update("Right.", true);
    expect(root.textContent).toBe("Right.");
  });
});
