import { t } from "../i18n";

/** Copies and says so: `label` reads "Copied" for a moment, and the button's check mark shows. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByCommand(text);
  }
}

/** The clipboard API is missing on plain http; the old command still works there. */
function copyByCommand(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  const host = document.querySelector("dialog[open]") ?? document.body;
  const focused = document.activeElement;
  host.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return done;
}

const SHOWN_MILLISECONDS = 1600;

/** Shows the outcome on the button itself for a moment; a second click while it shows starts nothing new. */
export async function copyFrom(button: HTMLElement, text: string): Promise<void> {
  const label = button.querySelector("[data-copy-label]");
  const before = label?.textContent ?? button.getAttribute("aria-label") ?? t.copy;
  if (button.dataset.copied) return;
  // A shorter word must not move what stands beside the button.
  button.style.minWidth = `${button.getBoundingClientRect().width}px`;
  const said = (await copyText(text)) ? t.copied : t.copyFailed;
  button.dataset.copied = "true";
  show(button, label, said, said === t.copied ? "check" : "alert");
  setTimeout(() => {
    delete button.dataset.copied;
    button.style.minWidth = "";
    show(button, label, before, "copy");
  }, SHOWN_MILLISECONDS);
}

function show(button: HTMLElement, label: Element | null, text: string, icon: string): void {
  if (label) label.textContent = text;
  else button.setAttribute("aria-label", text);
  const use = button.querySelector("use");
  use?.setAttribute("href", `${use.getAttribute("href")?.split("#")[0]}#${icon}`);
}

/** Every button with `data-copy` (a text) or `data-copy-from` (a selector inside its panel) on a server-drawn page. */
export function listenForCopies(): void {
  document.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy], [data-copy-from]");
    if (!button) return;
    const { copy, copyFrom: selector } = button.dataset;
    const text = copy ?? button.closest(".code-panel")?.querySelector(selector ?? "code")?.textContent ?? "";
    void copyFrom(button, text);
  });
}
