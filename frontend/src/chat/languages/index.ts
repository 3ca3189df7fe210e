/** The languages of the interface. To add one: a file beside this with every key of `en`, and a line here. */
import type { Strings } from "./en";

interface Entry {
  /** What the language calls itself: that is how its readers find it. */
  readonly name: string;
  readonly dir: "ltr" | "rtl";
  /** Fetched only for who reads it. */
  readonly load: () => Promise<Strings>;
}

export const languages = {
  en: { name: "English", dir: "ltr", load: async () => (await import("./en")).en },
  de: { name: "Deutsch", dir: "ltr", load: async () => (await import("./de")).de },
  ar: { name: "العربية", dir: "rtl", load: async () => (await import("./ar")).ar },
  "zh-Hans": { name: "简体中文", dir: "ltr", load: async () => (await import("./zh-Hans")).zhHans },
} satisfies Record<string, Entry>;

export type Language = keyof typeof languages;

export const allLanguages = Object.keys(languages) as Language[];

export function isLanguage(tag: string): tag is Language {
  return Object.hasOwn(languages, tag);
}

/** Ours for what a browser asks for (`zh-CN`, `de-AT`): the script decides where it is told or implied, else the language. */
export function matching(tag: string, allowed: readonly Language[] = allLanguages): Language | null {
  try {
    const asked = new Intl.Locale(tag).maximize();
    const fits = allowed.filter((ours) => new Intl.Locale(ours).maximize().language === asked.language);
    return fits.find((ours) => new Intl.Locale(ours).maximize().script === asked.script) ?? fits[0] ?? null;
  } catch {
    return null;
  }
}
