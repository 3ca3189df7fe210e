"use strict";

// Follows a training run that is open: bar, message and time left, and the whole page anew once it has ended. The page
// works without it.
{
  const section = document.querySelector("[data-progress-url]");
  const bar = section.querySelector("progress");
  const message = document.getElementById("progress-message");
  const note = document.getElementById("progress-note");
  const spoken = document.getElementById("progress-spoken");
  const POLL_MS = 1000;
  // Every message aloud would drown out whatever else a screen reader says.
  const SPOKEN_STEPS = 4;
  let step = 0;

  function show(progress) {
    message.textContent = progress.message;
    note.textContent = progress.note;
    if (progress.share === null) bar.removeAttribute("value");
    else bar.value = progress.share;
    const reached = Math.floor((progress.share ?? 0) * SPOKEN_STEPS);
    if (reached > step) spoken.textContent = `${Math.round(progress.share * 100)} percent done. ${progress.note}`;
    step = reached;
  }

  async function poll() {
    if (!document.hidden) {
      try {
        const response = await fetch(section.dataset.progressUrl);
        if (response.redirected || response.status === 403 || response.status === 404) return location.reload();
        if (response.ok) {
          const progress = await response.json();
          if (!progress.is_open) return location.reload();
          show(progress);
        }
      } catch {
        note.textContent = "The server does not answer at the moment. The work goes on without it.";
      }
    }
    setTimeout(poll, POLL_MS);
  }

  setTimeout(poll, POLL_MS);
}
