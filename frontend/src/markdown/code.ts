import { icon } from "../icon";
import { t } from "../i18n";
import { copyFrom } from "../site/copy";
import { highlight } from "./highlight";

/** Colouring more than this would be felt as a stutter; such a block stays plain. */
const HIGHLIGHT_CHARACTERS = 40_000;

export interface CodeBlock {
  element: HTMLElement;
  /** Shows a longer version of the text, adding only what is new. */
  grow(text: string): void;
  /** Colours the finished text. */
  close(): void;
}

/** A framed block of code with its language and a copy button. */
export function codeBlock(text: string, language: string, isClosed: boolean): CodeBlock {
  const element = document.createElement("div");
  element.className = "code-panel";
  const code = document.createElement("code");
  const content = document.createTextNode(text);
  code.append(content);
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  pre.append(code);
  element.append(bar(language, code), pre);
  const block = {
    element,
    grow: (longer: string) => {
      if (longer.startsWith(content.data)) content.appendData(longer.slice(content.length));
      else content.data = longer;
    },
    close: () => {
      if (content.length <= HIGHLIGHT_CHARACTERS) code.replaceChildren(...highlight(content.data, language));
    },
  };
  if (isClosed) block.close();
  return block;
}

function bar(language: string, code: HTMLElement): HTMLElement {
  const element = document.createElement("div");
  element.className = "code-panel-bar";
  const name = document.createElement("span");
  name.textContent = language;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button-small button-quiet";
  const label = document.createElement("span");
  label.dataset.copyLabel = "";
  label.textContent = t.copy;
  button.append(icon("copy"), label);
  button.addEventListener("click", () => void copyFrom(button, code.textContent ?? ""));
  element.append(name, button);
  return element;
}
