/** The button that switches between light and dark; static/theme.js applies the choice before the first paint. */
export function listenForTheme(): void {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.addEventListener("click", () => {
      const isDark = (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
      const chosen = isDark ? "light" : "dark";
      root.dataset.theme = chosen;
      try {
        localStorage.setItem("theme", chosen);
      } catch {
        // Storage is switched off: the choice holds for this page.
      }
    });
  }
}
