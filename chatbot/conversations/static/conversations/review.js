"use strict";

// Reviewing by keyboard. The page is a plain form without it.
{
  const page = document.querySelector(".fd-review");
  const form = document.getElementById("review");
  const dialog = document.getElementById("shortcuts");
  const switchedOn = document.getElementById("shortcuts-on");
  const STORED = "frontdesk.review.keys";
  const WRITING = "textarea, input:not([type=radio], [type=checkbox]), select";

  const press = (id) => document.getElementById(id)?.click();

  // Focus says aloud what was chosen, and shows it.
  function choose(input) {
    if (!input) return;
    input.checked = true;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    input.focus();
  }

  function field(name) {
    const found = form.elements[name];
    const replaced = found && document.getElementById(`${found.id}_find`);
    return replaced || found;
  }

  function explain() {
    const details = document.querySelector(".fd-under-review details.fd-why");
    if (!details) return;
    details.open = !details.open;
    details.querySelector("summary").focus();
  }

  const KEYS = {
    i: () => {
      choose(form.querySelector('[name=decision][value=":other"]'));
      field("other").focus();
    },
    e: () => {
      choose(form.querySelector("[name=verdict][value=edited]"));
      field("edited_reply")?.focus();
    },
    n: () => field("note").focus(),
    w: explain,
    s: () => press("save"),
    l: () => press("later"),
    x: () => press("exclude"),
    u: () => press("undo"),
  };

  document.addEventListener("keydown", (event) => {
    if (dialog.open || event.defaultPrevented || event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key === "Enter") press("save");
      return;
    }
    if (event.target.matches(WRITING)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "?") {
      event.preventDefault();
      dialog.showModal();
      return;
    }
    if (!switchedOn.checked || event.repeat) return;
    const input = form.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    const act = KEYS[event.key] ?? (input && (() => choose(input)));
    if (!act) return;
    event.preventDefault();
    act();
  });

  // Pressed twice, the second one would meet the first as if somebody else had been quicker.
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => delete form.dataset.sent);

  // Whoever picks an intent or writes a name means that answer.
  for (const more of form.querySelectorAll(".fd-option-more")) {
    more.querySelector(".fd-option-field").addEventListener("input", () => {
      more.querySelector("input[type=radio]").checked = true;
    });
    more.addEventListener("change", (event) => {
      if (event.target.matches("select")) more.querySelector("input[type=radio]").checked = true;
    });
  }

  function show() {
    page.toggleAttribute("data-keys", switchedOn.checked);
  }
  try {
    switchedOn.checked = localStorage.getItem(STORED) !== "off";
  } catch {
    // Without storage the keys work, and are switched off for this page alone.
  }
  switchedOn.addEventListener("change", () => {
    try {
      localStorage.setItem(STORED, switchedOn.checked ? "on" : "off");
    } catch {
      // As above.
    }
    show();
  });
  const help = document.getElementById("show-shortcuts");
  help.hidden = false;
  help.addEventListener("click", () => dialog.showModal());
  show();
  if (!location.hash) document.querySelector(".fd-under-review")?.scrollIntoView({ block: "nearest" });
}
