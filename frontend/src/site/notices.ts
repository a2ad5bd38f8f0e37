/** Warnings that are put away stay away until the tab is closed, or until they have become another, graver one. */
const KEY = "put-away";

export function prepareNotices(): void {
  const away = readAway();
  for (const notice of document.querySelectorAll<HTMLElement>("[data-notice]")) {
    const name = notice.dataset.notice ?? "";
    if (away.includes(name)) notice.remove();
    notice.querySelector("[data-put-away]")?.addEventListener("click", () => {
      putAway(name);
      notice.remove();
      document.getElementById("main")?.focus();
    });
  }
}

/** Shows the warnings about what is spent in a project: its own, and its team's. */
export function showNoticesOf(project: string): void {
  for (const notice of document.querySelectorAll<HTMLElement>("[data-credits-of]")) {
    notice.hidden = !binds(notice.dataset.creditsOf ?? "", project);
  }
}

/** Whether a warning of `team/project`, or of a whole team (`team/`), is about a project. */
export function binds(place: string, project: string): boolean {
  return place.endsWith("/") ? project.startsWith(place) : project === place;
}

function readAway(): string[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((name) => typeof name === "string") : [];
  } catch {
    return [];
  }
}

function putAway(name: string): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify([...new Set([...readAway(), name])]));
  } catch {
    // Storage is switched off: it is away on this page.
  }
}
