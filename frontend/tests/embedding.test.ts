import { beforeEach, describe, expect, it, vi } from "vitest";

import { dress, lettersOn } from "../src/chat/accent";
import { HostPage } from "../src/chat/hostPage";
import { Unread } from "../src/chat/unread";
import { SessionRefused, VisitorSession } from "../src/chat/visitorSession";
import { openStorage, partOf } from "../src/shared/storage";

const OWN = "https://desk.example";
const SHOP = "https://shop.example";

function answer(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status });
}

beforeEach(() => localStorage.clear());

describe("the page around", () => {
  it("is talked to only where the site allows its origin", () => {
    expect(HostPage.of(`?origin=${encodeURIComponent(SHOP)}`, [SHOP], OWN)).not.toBeNull();
    expect(HostPage.of(`?origin=${encodeURIComponent(OWN)}`, [], OWN)).not.toBeNull();
    expect(HostPage.of("?origin=https://evil.example", [SHOP], OWN)).toBeNull();
    expect(HostPage.of("", [SHOP], OWN)).toBeNull();
  });

  it("is heard only from its own window and origin, and only in our words", () => {
    const heard = vi.fn();
    HostPage.of(`?origin=${encodeURIComponent(SHOP)}`, [SHOP], OWN)?.listen(heard);
    const say = (data: unknown, origin: string, source: Window | null): boolean =>
      window.dispatchEvent(new MessageEvent("message", { data, origin, source }));
    say({ mark: "frontdesk", type: "send", text: "a" }, "https://evil.example", window.parent);
    say({ mark: "frontdesk", type: "send", text: "b" }, SHOP, null);
    say({ type: "send", text: "c" }, SHOP, window.parent);
    say(null, SHOP, window.parent);
    expect(heard).not.toHaveBeenCalled();
    say({ mark: "frontdesk", type: "send", text: "d" }, SHOP, window.parent);
    expect(heard).toHaveBeenCalledExactlyOnceWith({ mark: "frontdesk", type: "send", text: "d" });
  });

  it("is told at its origin and no other", () => {
    const post = vi.spyOn(window.parent, "postMessage").mockImplementation(() => undefined);
    HostPage.of(`?origin=${encodeURIComponent(SHOP)}`, [SHOP], OWN)?.tell({ type: "close" });
    expect(post).toHaveBeenCalledExactlyOnceWith({ type: "close", mark: "frontdesk" }, SHOP);
  });
});

describe("an embedded session", () => {
  it("is kept, shown again when it is renewed, and forgotten", async () => {
    const storage = partOf(openStorage(), "shop/");
    const post = vi.fn(() => Promise.resolve(answer({ token: "t1", visitor: "v1", expires_in: 60 })));
    await new VisitorSession("shop", storage, post).renew("signed");
    expect(post).toHaveBeenCalledWith({ site: "shop", token: "", identity: "signed" });
    const later = new VisitorSession("shop", storage, post);
    expect(later.current).toEqual({ token: "t1", visitor: "v1" });
    await later.renew();
    expect(post).toHaveBeenLastCalledWith({ site: "shop", token: "t1", identity: "" });
    later.forget();
    expect(new VisitorSession("shop", storage, post).current).toBeNull();
  });

  it("says why it is refused, and keeps what it had", async () => {
    const storage = openStorage();
    storage.set("session", JSON.stringify({ token: "t1", visitor: "v1" }));
    const session = new VisitorSession("shop", storage, () =>
      Promise.resolve(answer({ detail: "Please sign in." }, 403)),
    );
    await expect(session.renew()).rejects.toEqual(new SessionRefused("Please sign in."));
    expect(session.current?.token).toBe("t1");
  });

  it("begins anew where what was kept is damaged", () => {
    const storage = openStorage();
    storage.set("session", '{"token": 3}');
    expect(new VisitorSession("shop", storage).current).toBeNull();
    storage.set("session", "{");
    expect(new VisitorSession("shop", storage).current).toBeNull();
  });
});

describe("a part of a storage", () => {
  it("sees its own keys alone", () => {
    const whole = openStorage();
    const part = partOf(whole, "shop/");
    part.set("draft", "hello");
    whole.set("draft", "other");
    expect(part.get("draft")).toBe("hello");
    expect(part.keys("dr")).toEqual(["draft"]);
    part.remove("draft");
    expect(whole.get("shop/draft")).toBeNull();
  });
});

describe("unread replies", () => {
  it("are counted while the chat is hidden, and none once it is seen", () => {
    const told = vi.fn();
    const unread = new Unread(told);
    unread.arrived();
    unread.shown(false);
    unread.arrived();
    unread.arrived();
    unread.shown(true);
    unread.arrived();
    expect(told.mock.calls).toEqual([[1], [2], [0]]);
  });
});

describe("the site's colour", () => {
  it("has letters that can be read on it", () => {
    expect(lettersOn("#0b6b5b")).toBe("#ffffff");
    expect(lettersOn("#ffd400")).toBe("#000000");
    expect(lettersOn("#000000")).toBe("#ffffff");
  });

  it("is taken only where it is a colour", () => {
    const root = document.createElement("div");
    dress("red; } body { display: none", root);
    expect(root.style.length).toBe(0);
    dress("#ffd400", root);
    expect(root.style.getPropertyValue("--on-accent")).toBe("#000000");
  });
});
