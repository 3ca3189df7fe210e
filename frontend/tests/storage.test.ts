import { beforeEach, describe, expect, it } from "vitest";

import { openStorage } from "../src/shared/storage";

beforeEach(() => localStorage.clear());

describe("storage", () => {
  it("keeps values in the browser", () => {
    const storage = openStorage();
    expect(storage.set("a.1", "x")).toBe(true);
    expect(localStorage.getItem("a.1")).toBe("x");
    expect(openStorage().get("a.1")).toBe("x");
    expect(storage.keys("a.")).toEqual(["a.1"]);
    storage.remove("a.1");
    expect(storage.get("a.1")).toBeNull();
  });

  it("keeps values for as long as the page lives where the browser forbids storage", () => {
    const storage = openStorage(() => {
      throw new DOMException("denied", "SecurityError");
    });
    expect(storage.set("a.1", "x")).toBe(false);
    expect(storage.get("a.1")).toBe("x");
    expect(storage.keys("a.")).toEqual(["a.1"]);
    storage.remove("a.1");
    expect(storage.get("a.1")).toBeNull();
  });

  it("prefers what is in memory when the browser's storage is full", () => {
    localStorage.setItem("a", "old");
    const full = new Proxy(localStorage, {
      get(target, name) {
        if (name === "setItem") {
          return () => {
            throw new DOMException("full", "QuotaExceededError");
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    const storage = openStorage(() => full);
    expect(storage.set("a", "new")).toBe(false);
    expect(storage.get("a")).toBe("new");
  });
});
