"use strict";

// Says anew what a training takes whenever its form has changed. Without it a button does.
{
  const form = document.getElementById("launch");
  const place = document.getElementById("estimate");
  const PAUSE_MS = 300;
  let timer;
  let asked = 0;

  async function estimate() {
    const number = ++asked;
    try {
      const response = await fetch(form.dataset.estimateUrl, { method: "POST", body: new FormData(form) });
      if (!response.ok || response.redirected) return;
      const { words } = await response.json();
      // Answers may overtake each other.
      if (number === asked && words !== "" && words !== place.textContent) place.textContent = words;
    } catch {
      // Offline: what stood there was right for what stood in the form before.
    }
  }

  form?.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(estimate, PAUSE_MS);
  });
}
