// Light or dark: as the system says, or as the reader chose. The choice is kept in this browser.
import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const KEY = "lateen.theme";

export const theme = signal<Theme>("system");
/** Changes whenever colours do; the canvas reads them again then. */
export const themeVersion = signal(0);

export function startTheme(): void {
  const kept = localStorage.getItem(KEY);
  setTheme(kept === "light" || kept === "dark" ? kept : "system");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    themeVersion.value += 1;
  });
}

export function setTheme(next: Theme): void {
  theme.value = next;
  if (next === "system") {
    localStorage.removeItem(KEY);
    document.documentElement.removeAttribute("data-theme");
  } else {
    localStorage.setItem(KEY, next);
    document.documentElement.dataset.theme = next;
  }
  themeVersion.value += 1;
}
