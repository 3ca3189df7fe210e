import { beforeEach, describe, expect, it, vi } from "vitest";

import { C1, C2, said, Shop } from "./shop";

let shop: Shop;

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
  shop = new Shop();
  return () => vi.useRealTimers();
});

function opened() {
  const session = shop.page();
  shop.open();
  shop.ready();
  return session;
}

function answered() {
  const session = opened();
  shop.ready({
    messages: [
      said(1, "customer", "Hi", { turn: { id: "turn-1", status: "done" } }),
      said(2, "bot", "Hello", { turn: { id: "turn-1" } }),
    ],
    seq: 2,
  });
  return session;
}

describe("opening", () => {
  it("says hello first, and is connected once the conversation is here", () => {
    const session = shop.page();
    expect(session.link).toBe("connecting");
    shop.open();
    expect(shop.sent).toEqual([{ type: "hello", protocol: 1 }]);
    expect(session.link).toBe("connecting");
    shop.ready();
    expect(session.link).toBe("connected");
    expect(shop.address).toBe(C1);
  });

  it("opens the conversation of the address", () => {
    shop.address = C2;
    shop.page();
    shop.open();
    expect(shop.sentOf("hello")).toEqual([{ type: "hello", protocol: 1, conversation: C2 }]);
  });

  it("opens another where that one does not exist", () => {
    shop.address = C2;
    const session = shop.page();
    shop.open();
    shop.say({ type: "error", code: "not_found", detail: "No." });
    expect(shop.sentOf("hello").at(-1)).toEqual({ type: "hello", protocol: 1 });
    shop.ready();
    expect(session.thread.id).toBe(C1);
    expect(session.notice?.text).toContain("no longer here");
  });

  it("asks again while the server cannot open it", () => {
    const session = shop.page();
    shop.open();
    shop.say({ type: "error", code: "unavailable", detail: "No database.", retry_after: 5 });
    expect(session.notice).not.toBeNull();
    vi.advanceTimersByTime(4_999);
    expect(shop.sentOf("hello")).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(shop.sentOf("hello")).toHaveLength(2);
  });

  it("asks for a reload when the server speaks a newer protocol", () => {
    const session = shop.page();
    shop.open();
    shop.ready({ protocol: 2 });
    expect(session.notice?.reload).toBe(true);
  });
});

describe("sending", () => {
  it("keeps the text until it is accepted", () => {
    const session = opened();
    session.send("  Where is my parcel?  ");
    expect(shop.sentOf("message.send")).toEqual([
      { type: "message.send", client_id: "id-1", text: "Where is my parcel?" },
    ]);
    expect(localStorage.getItem("frontdesk.outbox.id-1")).toContain("Where is my parcel?");
    shop.accept("id-1", 1, "Where is my parcel?");
    expect(session.unsent).toEqual([]);
    expect(localStorage.getItem("frontdesk.outbox.id-1")).toBeNull();
    expect(session.thread.messages.map(({ text }) => text)).toEqual(["Where is my parcel?"]);
    expect(session.answering).toBe(true);
  });

  it("waits for the connection and goes out with the same id after every loss", () => {
    const session = shop.page();
    session.send("Hello?");
    expect(shop.sent).toEqual([]);
    shop.open();
    shop.ready();
    shop.lose();
    expect(session.link).toBe("reconnecting");
    expect(session.unsent).toMatchObject([{ state: "waiting" }]);
    shop.open();
    shop.ready();
    expect(shop.sentOf("message.send").map(({ client_id }) => client_id)).toEqual(["id-1", "id-1"]);
  });

  it("survives a reload", () => {
    opened().send("Hello?");
    shop.lose();
    const again = shop.page();
    expect(again.delivery.outbox).toMatchObject([{ clientId: "id-1", text: "Hello?", conversation: C1 }]);
    shop.open();
    shop.ready();
    expect(shop.sentOf("message.send").at(-1)).toMatchObject({ client_id: "id-1" });
  });

  it("goes to a new conversation where its own is gone", () => {
    const session = opened();
    session.send("Hello?");
    shop.say({ type: "error", code: "not_found", detail: "No.", client_id: "id-1" });
    expect(shop.sentOf("hello").at(-1)).toEqual({ type: "hello", protocol: 1 });
    shop.ready({ conversation: C2 });
    expect(shop.sentOf("message.send").map(({ client_id }) => client_id)).toEqual(["id-1", "id-1"]);
    expect(session.thread.id).toBe(C2);
    expect(session.notice).toBeNull();
    expect(shop.address).toBe(C2);
  });

  it("goes to a new conversation where its own was gone after a reconnect", () => {
    const session = answered();
    shop.lose();
    session.send("Hello?");
    shop.open();
    shop.say({ type: "error", code: "not_found", detail: "No." });
    expect(shop.sentOf("hello").at(-1)).toEqual({ type: "hello", protocol: 1 });
    shop.ready({ conversation: C2 });
    expect(session.link).toBe("connected");
    expect(shop.sentOf("message.send").at(-1)).toMatchObject({ client_id: "id-1", text: "Hello?" });
    expect(session.notice?.text).toContain("no longer here");
  });

  it("recognises a text that had arrived before the connection was lost", () => {
    const session = opened();
    session.send("Hello?");
    shop.lose();
    shop.open();
    shop.ready({ messages: [said(1, "customer", "Hello?", { client_id: "id-1" })], seq: 1 });
    expect(session.unsent).toEqual([]);
    expect(shop.sentOf("message.send")).toHaveLength(1);
  });

  it("tries again when the server is busy, no sooner than it says", () => {
    const session = opened();
    session.send("Hello?");
    shop.say({ type: "error", code: "busy", detail: "Busy.", client_id: "id-1", retry_after: 3 });
    expect(session.unsent).toMatchObject([{ state: "waiting" }]);
    vi.advanceTimersByTime(2_999);
    expect(shop.sentOf("message.send")).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(shop.sentOf("message.send")).toHaveLength(2);
    expect(session.unsent).toMatchObject([{ state: "sending" }]);
  });

  it("lets the visitor edit what was refused for good", () => {
    const session = opened();
    session.send("Hello?");
    shop.say({ type: "error", code: "too_long", detail: "Too long.", client_id: "id-1" });
    expect(session.unsent).toMatchObject([{ state: "failed", detail: "Too long." }]);
    session.edit("id-1");
    expect(session.unsent).toEqual([]);
    expect(session.draft).toBe("Hello?");
  });

  it("sends again what is neither accepted nor refused", () => {
    opened().send("Hello?");
    vi.advanceTimersByTime(10_000);
    expect(shop.sentOf("message.send").map(({ client_id }) => client_id)).toEqual(["id-1", "id-1"]);
  });

  it("keeps the order of two texts", () => {
    const session = opened();
    session.send("one");
    session.send("two");
    expect(shop.sentOf("message.send").map(({ text }) => text)).toEqual(["one"]);
    shop.accept("id-1", 1, "one");
    expect(shop.sentOf("message.send").map(({ text }) => text)).toEqual(["one", "two"]);
  });
});

describe("a reply", () => {
  it("is stopped, also when the connection is lost meanwhile", () => {
    const session = opened();
    session.send("Hi");
    shop.accept("id-1", 1, "Hi");
    session.stop();
    expect(session.cancelling).toBe("turn-1");
    shop.lose();
    shop.open();
    const turn = {
      id: "turn-1",
      message: "m1",
      status: "running" as const,
      attempt: 1,
      from: 0,
      k: 0,
      text: "",
    };
    shop.ready({
      messages: [said(1, "customer", "Hi", { client_id: "id-1", turn: { id: "turn-1", status: "running" } })],
      seq: 1,
      turn,
    });
    expect(shop.sentOf("turn.cancel")).toHaveLength(2);
    shop.say({ type: "turn.cancelled", turn: "turn-1" });
    expect(session.cancelling).toBeNull();
    expect(session.answering).toBe(false);
  });

  it("is asked for again", () => {
    const session = answered();
    session.retry();
    expect(shop.sentOf("turn.retry")).toEqual([{ type: "turn.retry", turn: "turn-1" }]);
    expect(session.answering).toBe(true);
    session.retry();
    expect(shop.sentOf("turn.retry")).toHaveLength(1);
    shop.say({ type: "turn.started", turn: "turn-2", attempt: 1 });
    expect(session.retrying).toBeNull();
    expect(session.openTurn?.id).toBe("turn-2");
  });

  it("that could not be asked for again is shown as it is", () => {
    const session = answered();
    session.retry();
    shop.say({ type: "error", code: "conflict", detail: "Too late." });
    expect(session.answering).toBe(false);
    expect(shop.sentOf("hello").at(-1)).toMatchObject({ conversation: C1 });
  });

  it("is announced once when it is finished, not while it grows", () => {
    const session = opened();
    session.send("Hi");
    shop.accept("id-1", 1, "Hi");
    shop.say({ type: "reply.delta", turn: "turn-1", attempt: 1, k: 0, text: "Hel" });
    expect(session.announcement).toBe("");
    shop.say({ type: "reply.finished", turn: "turn-1", message: said(2, "bot", "Hello!") });
    expect(session.announcement).toBe("The assistant replied: Hello!");
  });

  it("is rated at once and confirmed later", () => {
    const session = answered();
    session.rate("m2", "down", "It is not correct");
    expect(session.thread.messages.at(-1)?.rating).toBe("down");
    shop.lose();
    shop.open();
    shop.ready({ messages: [said(2, "bot", "Hello", { turn: { id: "turn-1" } })], seq: 2 });
    expect(session.thread.messages.at(-1)?.rating).toBe("down");
    expect(shop.sentOf("message.rate")).toHaveLength(2);
    shop.say({ type: "message.rated", message: "m2", rating: "down" });
    shop.lose();
    shop.open();
    shop.ready({ messages: [said(2, "bot", "Hello", { turn: { id: "turn-1" }, rating: "down" })], seq: 2 });
    expect(shop.sentOf("message.rate")).toHaveLength(2);
  });
});

describe("holes", () => {
  it("are asked for once, with what the browser has", () => {
    const session = opened();
    session.send("Hi");
    shop.accept("id-1", 1, "Hi");
    shop.say({ type: "reply.delta", turn: "turn-1", attempt: 1, k: 0, text: "a" });
    shop.say({ type: "reply.delta", turn: "turn-1", attempt: 1, k: 2, text: "c" });
    vi.advanceTimersByTime(1_000);
    shop.say({ type: "reply.delta", turn: "turn-1", attempt: 1, k: 3, text: "d" });
    vi.advanceTimersByTime(1_000);
    expect(shop.sentOf("hello").slice(1)).toEqual([
      { type: "hello", protocol: 1, conversation: C1, turn: "turn-1", attempt: 1, k: 1 },
    ]);
  });

  it("that close by themselves are not", () => {
    opened();
    shop.accept("x", 1, "Hi");
    shop.say({ type: "reply.delta", turn: "turn-1", attempt: 1, k: 1, text: "b" });
    shop.say({ type: "reply.delta", turn: "turn-1", attempt: 1, k: 0, text: "a" });
    vi.advanceTimersByTime(1_000);
    expect(shop.sentOf("hello")).toHaveLength(1);
  });

  it.each(["resync", "garbled"])("of a size nobody knows (%s) make it take a whole snapshot", (kind) => {
    answered();
    if (kind === "resync") shop.say({ type: "resync" });
    else shop.garble();
    vi.advanceTimersByTime(0);
    expect(shop.sentOf("hello").at(-1)).toEqual({ type: "hello", protocol: 1, conversation: C1 });
  });
});

describe("a resync whose answer was lost with the connection", () => {
  it("is asked for again as a whole, and not from the last question on", () => {
    opened();
    shop.ready({
      messages: [
        said(1, "bot", "Hello"),
        said(2, "customer", "Hi", { turn: { id: "turn-2", status: "done" } }),
        said(3, "bot", "Yes?", { turn: { id: "turn-2" } }),
      ],
      seq: 3,
    });
    shop.lose();
    shop.open();
    expect(shop.sentOf("hello").at(-1)).toMatchObject({ after_seq: 1 });
    shop.say({ type: "resync" });
    shop.lose();
    shop.open();
    expect(shop.sentOf("hello").at(-1)).not.toHaveProperty("after_seq");
  });
});

describe("several conversations", () => {
  it("ignores events of the one that was left until the other is here", () => {
    const session = answered();
    session.openConversation(C2);
    expect(session.thread).toMatchObject({ id: C2, messages: [] });
    shop.say({ type: "turn.started", turn: "turn-9", attempt: 1 });
    shop.ready({ conversation: C1 });
    expect(session.opening).toBe(true);
    expect(session.answering).toBe(false);
    shop.ready({ conversation: C2, messages: [said(1, "customer", "Other")], seq: 1 });
    expect(session.opening).toBe(false);
    expect(session.thread.messages.map(({ text }) => text)).toEqual(["Other"]);
  });

  it("keeps a draft for each", () => {
    const session = opened();
    session.setDraft("first");
    session.openConversation(C2);
    shop.ready({ conversation: C2 });
    expect(session.draft).toBe("");
    session.setDraft("second");
    session.openConversation(C1);
    shop.ready({ conversation: C1 });
    expect(session.draft).toBe("first");
  });

  it("takes a text typed before the first answer of the server along", () => {
    const session = shop.page();
    session.setDraft("typed early");
    shop.open();
    shop.ready();
    expect(session.draft).toBe("typed early");
    expect(localStorage.getItem(`frontdesk.draft.${C1}`)).toBe("typed early");
  });

  it("begins a new one", () => {
    const session = answered();
    session.setDraft("for the old one");
    session.startConversation();
    expect(shop.sentOf("conversation.new")).toHaveLength(1);
    shop.ready({ conversation: C2 });
    expect(session.thread).toMatchObject({ id: C2, messages: [] });
    expect(session.draft).toBe("");
  });

  it("sends a text only in the conversation it was written for", () => {
    const session = opened();
    session.send("Hello?");
    shop.lose();
    session.openConversation(C2);
    shop.open();
    shop.ready({ conversation: C2 });
    expect(shop.sentOf("message.send")).toHaveLength(1);
    session.openConversation(C1);
    shop.ready({ conversation: C1 });
    expect(shop.sentOf("message.send")).toHaveLength(2);
  });
});

describe("the connection", () => {
  it("is called offline after several failures, or when the browser says so", () => {
    const session = opened();
    shop.lose(1);
    expect(session.link).toBe("reconnecting");
    shop.lose(4);
    expect(session.link).toBe("offline");
    shop.open();
    shop.ready();
    expect(session.link).toBe("connected");
    session.networkLost();
    expect(session.link).toBe("offline");
  });

  it("asks what happened when the page comes back into view", () => {
    const session = answered();
    session.wake();
    expect(shop.sentOf("hello").at(-1)).toEqual({ type: "hello", protocol: 1, conversation: C1 });
    expect(shop.sentOf("ping")).toHaveLength(1);
    shop.lose();
    session.wake();
    expect(shop.reconnects).toBe(1);
  });

  it("says so when a command needs it", () => {
    const session = opened();
    shop.lose();
    session.handOff();
    expect(session.notice?.text).toContain("needs a connection");
    expect(shop.sentOf("conversation.handoff")).toEqual([]);
  });
});

describe("earlier messages", () => {
  it("are fetched from the oldest one on", async () => {
    const earlier = vi.spyOn(shop.api, "earlier").mockResolvedValue({
      messages: [said(1, "customer", "First")],
      has_earlier: false,
    });
    const session = opened();
    shop.ready({ messages: [said(2, "bot", "Second")], seq: 2, has_earlier: true });
    await session.loadEarlier();
    expect(earlier).toHaveBeenCalledExactlyOnceWith(C1, 2);
    expect(session.thread.messages.map(({ text }) => text)).toEqual(["First", "Second"]);
    await session.loadEarlier();
    expect(earlier).toHaveBeenCalledOnce();
  });

  it("that cannot be fetched are reported", async () => {
    vi.spyOn(shop.api, "earlier").mockRejectedValue(new Error("down"));
    const session = opened();
    shop.ready({ messages: [said(2, "bot", "Second")], seq: 2, has_earlier: true });
    await session.loadEarlier();
    expect(session.notice?.text).toContain("could not be loaded");
    expect(session.loadingEarlier).toBe(false);
  });
});

describe("with a person", () => {
  function waiting() {
    const session = opened();
    shop.ready({ status: "waiting", queue: { place: 2, open: true }, seq: 0 });
    return session;
  }

  it("shows the place, as it changes, and then who it is", () => {
    const session = waiting();
    expect(session.thread.queue?.place).toBe(2);
    shop.say({
      type: "conversation.updated",
      conversation: C1,
      status: "waiting",
      queue: { place: 1, open: true },
    });
    expect(session.thread.queue?.place).toBe(1);
    shop.say({ type: "conversation.updated", conversation: C1, status: "human", agent: { name: "Kim" } });
    expect([session.thread.queue, session.thread.agent?.name]).toEqual([undefined, "Kim"]);
  });

  it("tells now and then that the visitor is typing, but never the bot", () => {
    const session = opened();
    session.setDraft("a");
    expect(shop.sentOf("typing")).toHaveLength(0);
    shop.say({ type: "conversation.updated", conversation: C1, status: "human" });
    session.setDraft("ab");
    session.setDraft("abc");
    vi.advanceTimersByTime(3_100);
    session.setDraft("abcd");
    session.setDraft("");
    expect(shop.sentOf("typing")).toHaveLength(2);
  });

  it("shows that somebody types until they have written, or stopped", () => {
    const session = waiting();
    shop.say({ type: "agent.typing", name: "Kim" });
    expect(session.typing).toBe("Kim is typing…");
    shop.say({ type: "message.posted", message: said(1, "agent", "Hello", { author: "Kim" }) });
    expect(session.typing).toBeNull();
    expect(session.announcement).toBe("Kim says: Hello");
    shop.say({ type: "agent.typing" });
    expect(session.typing).not.toBeNull();
    vi.advanceTimersByTime(6_100);
    expect(session.typing).toBeNull();
  });

  it("says why an address was not taken", () => {
    const session = waiting();
    session.leaveEmail("ada@example");
    expect(shop.sentOf("conversation.email")).toMatchObject([{ email: "ada@example" }]);
    shop.say({ type: "error", code: "invalid_address", detail: "This is not an e-mail address." });
    expect(session.notice?.text).toBe("This is not an e-mail address.");
  });

  it("announces once that the conversation was closed", () => {
    const session = waiting();
    shop.say({ type: "conversation.updated", conversation: C1, status: "closed" });
    expect(session.announcement).toContain("closed");
  });
});
