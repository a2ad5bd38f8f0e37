import { codeBlock } from "../markdown/code";
import { highlight } from "../markdown/highlight";

/** Colours the code on server-drawn pages, and gives documentation blocks the same frame as in the chat. */
export function prepareCode(): void {
  for (const code of document.querySelectorAll<HTMLElement>("code[data-language]")) {
    code.replaceChildren(...highlight(code.textContent ?? "", code.dataset.language ?? ""));
  }
  for (const pre of document.querySelectorAll<HTMLElement>(".docs .prose pre")) {
    const code = pre.querySelector("code");
    const language = /language-([\w+#-]+)/.exec(code?.className ?? "")?.[1] ?? "";
    pre.replaceWith(codeBlock((code ?? pre).textContent ?? "", language, true).element);
  }
  for (const table of document.querySelectorAll(".docs .prose table")) {
    const frame = document.createElement("div");
    frame.className = "prose-table";
    frame.tabIndex = 0;
    table.replaceWith(frame);
    frame.append(table);
  }
}
