// The article as customers will see it, drawn again at each pause in typing. The server renders it, so that the preview
// and the page cannot differ; without this script the button opens the same preview as a page.
document.addEventListener("DOMContentLoaded", () => {
  const section = document.querySelector(".article-preview");
  const source = document.querySelector("#id_body");
  if (!section || !source) return;

  const PAUSE_MS = 250; // shorter than a person waits for, longer than the gap between two keys
  const page = section.querySelector(".prose");
  const state = section.querySelector(".preview-state");
  const token = source.form.querySelector("[name=csrfmiddlewaretoken]").value;
  let timer;
  let latest;

  async function draw() {
    latest?.abort();
    latest = new AbortController();
    const body = new FormData();
    body.set("csrfmiddlewaretoken", token);
    body.set("fragment", "1");
    body.set("body", source.value);
    try {
      const answer = await fetch(section.dataset.previewUrl, { method: "POST", body, signal: latest.signal });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      page.innerHTML = await answer.text(); // cleaned by the server with an allow-list
      section.hidden = false;
      state.textContent = "";
    } catch (error) {
      if (error.name !== "AbortError") state.textContent = "Not up to date: the server did not answer.";
    }
  }

  source.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(draw, PAUSE_MS);
  });
  draw();
});
