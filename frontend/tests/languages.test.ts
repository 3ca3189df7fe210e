/** The catalogues: types keep them complete, these tests keep them translated. */
import { describe, expect, it } from "vitest";

import { preferred } from "../src/chat/languages/active.svelte";
import { allLanguages, languages, matching, type Language } from "../src/chat/languages";
import { en } from "../src/chat/languages/en";
import { openStorage } from "../src/shared/storage";

/** What reads the same in both, and is right so. */
const IDENTICAL: Partial<Record<Language, string[]>> = {};

/** Every value as a reader would see it, by the path of its key. */
function values(catalogue: object, path = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(catalogue) as [string, unknown][]) {
    const at = path + key;
    if (typeof value === "string") found.set(at, value);
    else if (typeof value === "function") {
      // With and without what is optional; 3 stands for numbers and for names.
      found.set(at, String((value as (...given: unknown[]) => unknown)(3, 3)));
      found.set(`${at}()`, String((value as (...given: unknown[]) => unknown)(-1)));
    } else if (typeof value === "object" && value !== null) {
      for (const [inner, text] of values(value, `${at}.`)) found.set(inner, text);
    }
  }
  return found;
}

describe.each(allLanguages.filter((language) => language !== "en"))("%s", (language) => {
  it("says everything in its own words", async () => {
    const english = values(en);
    const theirs = values(await languages[language].load());
    expect([...theirs.keys()]).toEqual([...english.keys()]);
    const same = [...theirs].filter(([key, text]) => text !== "" && text === english.get(key));
    expect(same.map(([key]) => key)).toEqual(IDENTICAL[language] ?? []);
    const empty = [...theirs].filter(([key, text]) => text.trim() === "" && english.get(key) !== "");
    expect(empty).toEqual([]);
  });
});

describe("numbers", () => {
  it("take the form that the language has for them", async () => {
    const ar = await languages.ar.load();
    const forms = [1, 2, 3, 11, 100].map((left) =>
      ar.charactersLeft(left).replace(/[\d\u0660-\u0669]+/, "#"),
    );
    expect(new Set(forms).size).toBe(5);
    expect(en.charactersLeft(1)).toBe("1 character left");
    expect(en.charactersLeft(-1234)).toBe("1,234 characters too many");
    expect((await languages.de.load()).charactersLeft(1234)).toContain("1.234");
  });
});

describe("the language of a browser", () => {
  it.each([
    ["de-AT", "de"],
    ["zh-CN", "zh-Hans"],
    ["zh", "zh-Hans"],
    ["zh-TW", "zh-Hans"],
    ["ar-EG", "ar"],
    ["en-GB", "en"],
    ["fr", null],
    ["not a tag", null],
    ["", null],
  ])("%s is answered with %s", (tag, expected) => {
    expect(matching(tag)).toBe(expected);
  });

  it("gives way to what was chosen, and to what the page around says", () => {
    const storage = openStorage(() => {
      throw new Error("no storage");
    });
    expect(preferred({ storage, page: "de" })).toBe("de");
    storage.set("frontdesk.language", "ar");
    expect(preferred({ storage, page: "de" })).toBe("ar");
  });

  it("is never one that the site does not have", () => {
    const storage = openStorage(() => {
      throw new Error("no storage");
    });
    storage.set("frontdesk.language", "ar");
    expect(preferred({ storage, allowed: ["de", "zh-Hans"], page: "zh-CN" })).toBe("zh-Hans");
    expect(preferred({ storage, allowed: ["de"] })).toBe("de");
    expect(preferred({ storage, allowed: ["xx"] })).toBe("ar");
  });
});
