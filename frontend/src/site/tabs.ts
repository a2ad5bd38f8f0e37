import { keyOf } from "../keys";

/** Tabs as WAI-ARIA describes them: one tab stop, arrows move and select. */
export function prepareTabs(): void {
  for (const panel of document.querySelectorAll<HTMLElement>("[data-tabs]")) {
    const tabs = [...panel.querySelectorAll<HTMLElement>("[role=tab]")];
    for (const tab of tabs) tab.addEventListener("click", () => select(tabs, tab));
    panel.querySelector("[role=tablist]")?.addEventListener("keydown", (event) => {
      const next = neighbour(tabs, event as KeyboardEvent);
      if (!next) return;
      event.preventDefault();
      select(tabs, next);
      next.focus();
    });
  }
}

function select(tabs: HTMLElement[], chosen: HTMLElement): void {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    const panel = document.getElementById(tab.getAttribute("aria-controls") ?? "");
    if (panel) panel.hidden = tab !== chosen;
  }
}

/** The tab that an arrow, Home or End key leads to. */
export function neighbour(tabs: HTMLElement[], event: KeyboardEvent): HTMLElement | undefined {
  const at = tabs.findIndex((tab) => tab.getAttribute("aria-selected") === "true");
  const key = keyOf(event);
  if (key === "Home") return tabs[0];
  if (key === "End") return tabs.at(-1);
  const step = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0;
  return step ? tabs[(at + step + tabs.length) % tabs.length] : undefined;
}
