/** Light or dark: the system's choice until the visitor makes one, which is then remembered. */
import type { Storage } from "./storage";

export type Theme = "light" | "dark";

const KEY = "frontdesk.theme";

/** The theme in force: what was chosen, else what the system prefers. */
export function currentTheme(storage: Storage): Theme {
  const chosen = storage.get(KEY);
  if (chosen === "light" || chosen === "dark") return chosen;
  return systemTheme();
}

/** Applies the remembered choice, if there is one; without it the style sheet follows the system. */
export function restoreTheme(storage: Storage): void {
  const chosen = storage.get(KEY);
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}

/** Switches the page and remembers it. Choosing what the system prefers anyway goes back to following it. */
export function chooseTheme(storage: Storage, theme: Theme): void {
  if (theme === systemTheme()) {
    storage.remove(KEY);
    delete document.documentElement.dataset.theme;
    return;
  }
  storage.set(KEY, theme);
  document.documentElement.dataset.theme = theme;
}

function systemTheme(): Theme {
  return globalThis.matchMedia?.("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}
