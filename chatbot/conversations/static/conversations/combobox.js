"use strict";

// Turns a long <select> into a field that finds its options by what is typed (ARIA's combobox with a list). The select
// stays what is sent; without this script it works as it is.
for (const select of document.querySelectorAll("select[data-combobox]")) {
  const options = [...select.options].filter((option) => option.value);
  const label = document.querySelector(`label[for="${select.id}"]`);
  const input = document.createElement("input");
  const list = document.createElement("ul");
  let active = -1;
  let shown = [];

  list.id = `${select.id}_list`;
  list.className = "fd-listbox";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", label.textContent);
  list.hidden = true;
  input.id = `${select.id}_find`;
  input.type = "text";
  input.autocomplete = "off";
  input.placeholder = select.options[0].textContent;
  input.value = select.value ? select.selectedOptions[0].textContent : "";
  for (const [name, value] of Object.entries({
    role: "combobox",
    "aria-autocomplete": "list",
    "aria-controls": list.id,
    "aria-expanded": "false",
  })) {
    input.setAttribute(name, value);
  }
  label.htmlFor = input.id;
  select.hidden = true;
  select.after(input, list);

  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  // What begins with the words before what merely holds them.
  function found(words) {
    const wanted = plain(words).split(/\s+/).filter(Boolean);
    const matching = options.filter((option) => wanted.every((word) => plain(option.textContent).includes(word)));
    const begins = (option) => (wanted.length && plain(option.textContent).startsWith(wanted[0]) ? 0 : 1);
    return matching.sort((one, other) => begins(one) - begins(other));
  }

  function open(words) {
    shown = found(words);
    list.replaceChildren(
      ...shown.map((option, index) => {
        const item = document.createElement("li");
        item.id = `${list.id}_${index}`;
        item.setAttribute("role", "option");
        item.textContent = option.textContent;
        // Before the field loses its focus, which closes the list.
        item.addEventListener("pointerdown", (event) => {
          event.preventDefault();
          choose(index);
        });
        return item;
      }),
    );
    list.hidden = shown.length === 0;
    input.setAttribute("aria-expanded", String(!list.hidden));
    activate(shown.length && words ? 0 : -1);
  }

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
  }

  function activate(index) {
    active = index;
    for (const [position, item] of [...list.children].entries()) {
      item.setAttribute("aria-selected", String(position === index));
    }
    const item = list.children[index];
    if (!item) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  }

  function choose(index) {
    select.value = shown[index].value;
    input.value = shown[index].textContent;
    select.dispatchEvent(new Event("change", { bubbles: true }));
    close();
  }

  input.addEventListener("input", () => {
    select.value = "";
    open(input.value);
  });
  input.addEventListener("click", () => open(""));
  input.addEventListener("blur", () => {
    // What was typed in part names nothing; what was chosen before it is gone with the first letter.
    if (!select.value) input.value = "";
    close();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) return open(select.value ? "" : input.value);
      const step = event.key === "ArrowDown" ? 1 : -1;
      activate((active + step + shown.length) % shown.length);
    } else if (event.key === "Enter" && !list.hidden && active >= 0 && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      choose(active);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  });
}
