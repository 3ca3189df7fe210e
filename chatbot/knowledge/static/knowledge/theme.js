// Light or dark as the visitor chose it on the chat page (frontend/src/shared/theme.ts). Loaded before the styles are
// used, so that the page never flashes in the other one.
try {
  const chosen = localStorage.getItem("frontdesk.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Site data is blocked: the system's choice stands.
}
