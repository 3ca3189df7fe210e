/** Local storage that may be absent, forbidden or full: reads give `null`, writes report whether they held. */

export interface Storage {
  get(key: string): string | null;
  set(key: string, value: string): boolean;
  remove(key: string): void;
  keys(prefix: string): string[];
}

/** The browser's own storage where it works, else memory that lasts as long as the page. */
export function openStorage(native: () => globalThis.Storage = () => globalThis.localStorage): Storage {
  const memory = new Map<string, string>();

  function attempt<T>(action: (storage: globalThis.Storage) => T): T | undefined {
    try {
      // Reading the property itself throws where the browser blocks site data.
      return action(native());
    } catch {
      return undefined;
    }
  }

  return {
    get: (key) => memory.get(key) ?? attempt((storage) => storage.getItem(key)) ?? null,
    set(key, value) {
      const kept = attempt((storage) => (storage.setItem(key, value), true)) ?? false;
      if (kept) memory.delete(key);
      else memory.set(key, value);
      return kept;
    },
    remove(key) {
      memory.delete(key);
      attempt((storage) => storage.removeItem(key));
    },
    keys(prefix) {
      const stored = attempt((storage) =>
        Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? ""),
      );
      return [...new Set([...(stored ?? []), ...memory.keys()])].filter((key) => key.startsWith(prefix));
    },
  };
}

/** The part of a storage whose keys begin with the prefix, which its user does not see. */
export function partOf(storage: Storage, prefix: string): Storage {
  return {
    get: (key) => storage.get(prefix + key),
    set: (key, value) => storage.set(prefix + key, value),
    remove: (key) => storage.remove(prefix + key),
    keys: (wanted) => storage.keys(prefix + wanted).map((key) => key.slice(prefix.length)),
  };
}
