/** Warnings that are put away stay away until the tab is closed, or until they have become another, graver one. */
const KEY = "put-away";

export function prepareNotices(root: ParentNode = document): void {
  const away = readAway();
  for (const notice of root.querySelectorAll<HTMLElement>("[data-notice]")) {
    const name = notice.dataset.notice ?? "";
    if (away.includes(name)) notice.remove();
    notice.querySelector("[data-put-away]")?.addEventListener("click", () => {
      putAway(name);
      notice.remove();
      document.getElementById("main")?.focus();
    });
  }
}

/** Shows the warnings about what is spent in a project, and says whether one is that nothing is left. */
export function showNoticesOf(project: string): boolean {
  const notices = [...document.querySelectorAll<HTMLElement>("[data-credits-of]")];
  for (const notice of notices) notice.hidden = !binds(notice.dataset.creditsOf ?? "", project);
  return notices.some((notice) => !notice.hidden && notice.classList.contains("notice-error"));
}

/** Puts the warnings as the server draws them now in place of those on the page; says whether they have changed. */
export async function redrawNotices(project: string): Promise<boolean> {
  const place = document.querySelector<HTMLElement>("[data-notices]");
  try {
    // Whoever has signed out meanwhile is sent to the sign-in, which is no warning.
    const response = await fetch(`/playground/notices?project=${encodeURIComponent(project)}`, { redirect: "error" });
    const drawn = await response.text();
    if (!place || !response.ok || drawn === place.dataset.notices) return false;
    place.dataset.notices = drawn;
    place.innerHTML = drawn;
    prepareNotices(place);
    return true;
  } catch {
    return false;
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
