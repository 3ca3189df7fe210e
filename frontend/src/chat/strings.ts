/** Every word of the interface, in the page's language: `languages/` has them. */
import { active } from "./languages/active.svelte";
import type { Strings } from "./languages/en";

/** Read where it is shown, never kept: what it says changes when another language is chosen. */
export const strings: Strings = new Proxy({} as Strings, {
  get: (_, key) => Reflect.get(active.strings, key) as unknown,
});
