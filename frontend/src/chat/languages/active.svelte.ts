/** The language that the page is in. */
import type { Storage } from "../../shared/storage";
import type { Strings } from "./en";
import { allLanguages, isLanguage, languages, matching, type Language } from "./index";

const KEY = "frontdesk.language";

class Active {
  language = $state<Language>("en");
  /** Those that may be chosen here. */
  allowed = $state.raw<readonly Language[]>(allLanguages);
  /** How dates are written: as the browser's region writes them in this language (`en-GB`), where it says. */
  locale = $state("en");
  #strings = $state.raw<Strings | null>(null);

  get strings(): Strings {
    if (this.#strings === null) throw new Error("No language has been loaded yet.");
    return this.#strings;
  }

  /** Puts the page into the language, once its words are here. */
  async use(language: Language): Promise<void> {
    this.show(language, await languages[language].load());
  }

  show(language: Language, strings: Strings): void {
    this.#strings = strings;
    this.language = language;
    this.locale = navigator.languages.find((tag) => matching(tag) === language) ?? language;
    document.documentElement.lang = language;
    document.documentElement.dir = languages[language].dir;
  }
}

export const active = new Active();

interface Wishes {
  storage: Storage;
  /** Those of the site; all of ours where it names none. */
  allowed?: readonly string[];
  /** What the page around asks for. */
  page?: string;
}

/** The language that was chosen here before, else the page's, else the browser's, else the first that is allowed. */
export function preferred({ storage, page = "", allowed }: Wishes): Language {
  const choice = offered(allowed);
  const wanted = [storage.get(KEY) ?? "", page, ...navigator.languages];
  const found = wanted.map((tag) => matching(tag, choice)).find((language) => language !== null);
  return found ?? choice[0] ?? "en";
}

function offered(allowed: readonly string[] = []): readonly Language[] {
  const ours = allowed.filter(isLanguage);
  return ours.length > 0 ? ours : allLanguages;
}

/** Opens the page in the language that its visitor reads best. */
export async function startLanguage(wishes: Wishes): Promise<void> {
  active.allowed = offered(wishes.allowed);
  await active.use(preferred(wishes));
}

/** Switches the page and remembers it. */
export async function chooseLanguage(storage: Storage, language: Language): Promise<void> {
  await active.use(language);
  storage.set(KEY, language);
}
