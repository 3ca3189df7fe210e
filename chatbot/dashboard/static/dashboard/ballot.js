"use strict";

// Votes by keyboard: 1 and 2 for a reply, 0 for neither. The page works without it.
{
  const form = document.getElementById("ballot");
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const button = form?.querySelector(`[aria-keyshortcuts="${CSS.escape(event.key)}"]`);
    if (button) form.requestSubmit(button);
  });
  // A second click must not be a vote on the pair that comes next.
  form?.addEventListener("submit", () => {
    setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
  });
}
