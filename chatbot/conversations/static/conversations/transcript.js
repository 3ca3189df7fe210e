"use strict";

// Keeps an open transcript current, so that a person can answer a customer who is still writing. The page works without
// it; what is being typed in the reply box is never touched.
{
  const page = document.querySelector("[data-version-url]");
  const POLL_MS = 4000;
  // An explanation takes a fraction of a second once a worker has its models.
  const EXPLAINING_POLL_MS = 600;
  const REGIONS = ["about", "transcript"];

  const opened = () =>
    new Set([...document.querySelectorAll("#transcript details.fd-why[open]")].map((details) => details.closest("li").id));

  const isAtEnd = () => window.innerHeight + window.scrollY >= document.body.scrollHeight - 80;

  async function fetchPage() {
    const response = await fetch(location.pathname + location.search);
    if (!response.ok || response.redirected) return null;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    return fresh.querySelector("[data-version]") ? fresh : null;
  }

  async function refresh() {
    const fresh = await fetchPage();
    if (!fresh) return;
    const wereOpen = opened();
    const follow = !("still" in page.dataset) && isAtEnd();
    const before = document.querySelectorAll(".fd-entry").length;
    for (const id of REGIONS) {
      const [stale, current] = [document, fresh].map((each) => each.getElementById(id));
      if (stale && current) stale.replaceWith(current);
    }
    for (const id of wereOpen) {
      for (const details of document.querySelectorAll(`#${CSS.escape(id)} details.fd-why`)) details.open = true;
    }
    page.dataset.version = fresh.querySelector("[data-version]").dataset.version;
    const added = document.querySelectorAll(".fd-entry").length - before;
    document.getElementById("news").textContent =
      added > 0 ? (added === 1 ? "A new message has come." : `${added} new messages have come.`) : "";
    if (follow) window.scrollTo({ top: document.body.scrollHeight });
  }

  async function poll() {
    if (!document.hidden) {
      try {
        const response = await fetch(page.dataset.versionUrl);
        if (response.redirected || response.status === 403 || response.status === 404) return; // signed out, or deleted
        if (response.ok && (await response.json()).version !== page.dataset.version) await refresh();
      } catch {
        // The network is away for the moment; the next round asks again.
      }
    }
    setTimeout(poll, interval());
  }

  const interval = () => (document.querySelector(".fd-explaining") ? EXPLAINING_POLL_MS : POLL_MS);

  // The address after asking for an explanation names it; it lies inside of what is folded away.
  const asked = location.hash.startsWith("#why-") && document.getElementById(location.hash.slice(1));
  if (asked) {
    asked.closest("details").open = true;
    asked.scrollIntoView({ block: "center" });
  }
  if (page) setTimeout(poll, interval());
}
