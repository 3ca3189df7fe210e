/** Switching the language: the page changes where it stands, and stays so. */
import { render, screen, waitFor } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { afterEach, expect, it } from "vitest";

import LanguageMenu from "../src/chat/components/LanguageMenu.svelte";
import { active, chooseLanguage } from "../src/chat/languages/active.svelte";
import type { Language } from "../src/chat/languages";
import { en } from "../src/chat/languages/en";
import { openStorage } from "../src/shared/storage";

afterEach(() => active.show("en", en));

it("puts the page into the chosen language, with its direction, and remembers it", async () => {
  const storage = openStorage();
  render(LanguageMenu, { onchoose: (language: Language) => chooseLanguage(storage, language) });
  await userEvent.setup().selectOptions(screen.getByRole("combobox", { name: en.language }), "العربية");
  await waitFor(() => expect(document.documentElement).toHaveAttribute("dir", "rtl"));
  expect(document.documentElement.lang).toBe("ar");
  expect(screen.getByRole("combobox", { name: "اللغة" })).toHaveValue("ar");
  expect(storage.get("frontdesk.language")).toBe("ar");
  storage.remove("frontdesk.language");
});
