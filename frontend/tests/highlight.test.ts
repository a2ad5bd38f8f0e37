import { expect, test } from "vitest";
import { highlight } from "../src/markdown/highlight";

function coloured(text: string, language: string): string {
  const element = document.createElement("code");
  element.append(...highlight(text, language));
  expect(element.textContent).toBe(text);
  return [...element.querySelectorAll("span")].map((span) => `${span.className.slice(4)}:${span.textContent}`).join(" ");
}

test("keywords, strings, numbers, comments and calls have a colour", () => {
  expect(coloured("def f(x):  # why\n    return 'a' + str(0x1f)", "python")).toBe(
    "keyword:def name:f comment:# why keyword:return string:'a' name:str number:0x1f",
  );
  expect(coloured("const a = `x${1}`; // y", "ts")).toBe("keyword:const string:`x${1}` comment:// y");
  expect(coloured("SELECT id FROM t WHERE a = 'b' -- c", "sql")).toBe("keyword:SELECT keyword:FROM keyword:WHERE string:'b' comment:-- c");
  expect(coloured('<a href="x">y</a>', "html")).toBe('keyword:<a name:href string:"x" keyword:> keyword:</a keyword:>');
});

test("an unknown language stays plain", () => {
  expect(coloured("def f(): pass", "klingon")).toBe("");
});

test.each(["python", "js", "sql", "html", "css"])("hostile %s takes no time", (language) => {
  // The processor's time: what others on this machine take is not counted. Where it grows with the square of the
  // length, or worse, it is minutes.
  const began = process.cpuUsage();
  for (const piece of ['"', "'", '"""', "/*", "<!--", "`", "a.b", "\\", "0x", "#"]) coloured(piece.repeat(5000), language);
  expect(process.cpuUsage(began).user / 1000).toBeLessThan(10_000);
}, 60_000);
