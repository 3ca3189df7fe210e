import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Listener } from "../src/chat/connection";
import type { Alerts } from "../src/inbox/alerts";
import type { AgentFrame, DeskFrame, Row } from "../src/inbox/protocol";
import { DeskSession } from "../src/inbox/session.svelte";
import { openStorage } from "../src/shared/storage";

const C = "0192c0de-0000-7000-8000-000000000001";
const KIM = { id: 7, name: "Kim" };

class Desk {
  sent: AgentFrame[] = [];
  up = true;
  visible = true;
  called: string[] = [];
  address: string | null = C;
  listener!: Listener<DeskFrame>;
  #ids = 0;
  alerts: Alerts = {
    permission: "default",
    sound: () => false,
    setSound: () => undefined,
    askPermission: () => Promise.resolve("granted"),
    call: (text) => this.called.push(text),
  };

  page(): DeskSession {
    const session = new DeskSession({
      connect: (listener) => {
        this.listener = listener;
        return {
          send: (frame) => {
            if (this.up) this.sent.push(frame);
            return this.up;
          },
          reconnect: () => undefined,
          close: () => undefined,
        };
      },
      storage: openStorage(),
      alerts: this.alerts,
      now: () => Date.now(),
      newId: () => `id-${(this.#ids += 1)}`,
      isVisible: () => this.visible,
      address: { read: () => this.address, write: (conversation) => (this.address = conversation) },
    });
    this.listener.opened();
    this.welcome();
    this.thread();
    return session;
  }

  say(frame: DeskFrame): void {
    this.listener.received(frame);
  }

  welcome(rows: Row[] = []): void {
    this.say({ type: "desk.ready", protocol: 1, me: KIM, agents: [], rows, canned: [] });
  }

  thread(more: object = {}): void {
    this.say({
      type: "thread.ready",
      conversation: C,
      customer: "Visitor",
      messages: [{ id: "m1", seq: 1, role: "customer", text: "Hello?", created_at: "2026-11-24T09:00:00Z" }],
      seq: 1,
      has_earlier: false,
      notes: [],
      suggestion: null,
      status: "human",
      assignment: 2,
      assignee: KIM,
      ...more,
    });
  }

  sentOf(type: AgentFrame["type"]): AgentFrame[] {
    return this.sent.filter((frame) => frame.type === type);
  }
}

let desk: Desk;
beforeEach(() => {
  localStorage.clear();
  vi.useFakeTimers();
  desk = new Desk();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("answering", () => {
  it("sends with the assignment that is shown and clears the box once it is on its way", () => {
    const session = desk.page();
    session.setDraft("On its way.");
    session.send();
    expect(desk.sentOf("message.send")).toMatchObject([
      { assignment: 2, client_id: "id-1", text: "On its way." },
    ]);
    expect([session.draft, session.pending.length]).toEqual(["", 1]);
    desk.say({
      type: "thread.message",
      conversation: C,
      message: { id: "m2", seq: 2, role: "agent", text: "On its way.", created_at: "", client_id: "id-1" },
    });
    expect(session.pending).toEqual([]);
  });

  it("gives a refused text back, with the reason", () => {
    const session = desk.page();
    session.setDraft("On its way.");
    session.send();
    session.setDraft("And");
    const detail = "Sam has this conversation now. Your text was not sent.";
    desk.say({ type: "error", code: "hands_changed", detail, client_id: "id-1", conversation: C });
    expect([session.draft, session.notice, session.pending.length]).toEqual(["On its way.\nAnd", detail, 0]);
  });

  it("keeps the text where there is no connection", () => {
    const session = desk.page();
    desk.up = false;
    session.setDraft("On its way.");
    session.send();
    expect(session.draft).toBe("On its way.");
    expect(session.notice).not.toBeNull();
  });

  it("sends again after a reconnect what was not taken, under the same name", () => {
    const session = desk.page();
    session.setDraft("On its way.");
    session.send();
    desk.listener.closed(1);
    desk.sent = [];
    desk.listener.opened();
    desk.welcome();
    expect(desk.sentOf("thread.open")).toMatchObject([{ conversation: C, after_seq: 1 }]);
    expect(desk.sentOf("message.send")).toMatchObject([{ client_id: "id-1" }]);
    expect(session.link).toBe("connected");
  });

  it("keeps a draft for each conversation", () => {
    const session = desk.page();
    session.setDraft("half a thou");
    session.open("0192c0de-0000-7000-8000-000000000002");
    expect(session.draft).toBe("");
    session.open(C);
    expect(session.draft).toBe("half a thou");
  });
});

describe("notes", () => {
  it("are kept apart from what is written to the customer", () => {
    const session = desk.page();
    session.setDraft("Dear customer");
    session.setNote("Difficult one.");
    session.open("0192c0de-0000-7000-8000-000000000002");
    expect([session.draft, session.note]).toEqual(["", ""]);
    session.open(C);
    expect([session.draft, session.note]).toEqual(["Dear customer", "Difficult one."]);
    session.addNote();
    expect(desk.sentOf("note.add")).toMatchObject([{ text: "Difficult one." }]);
    expect(desk.sentOf("message.send")).toEqual([]);
    expect([session.draft, session.note]).toEqual(["Dear customer", ""]);
  });

  it("that are refused come back as notes", () => {
    const session = desk.page();
    session.setNote("Difficult one.");
    session.addNote();
    desk.say({ type: "error", code: "unavailable", detail: "Not now.", client_id: "id-1", conversation: C });
    expect([session.draft, session.note, session.notice]).toEqual(["", "Difficult one.", "Not now."]);
  });
});

describe("the bot's draft", () => {
  const suggestion = {
    id: "s",
    message: "m1",
    status: "done" as const,
    text: "On its way.",
    error: "",
    sources: [],
  };

  it("is sent as it is, or edited, and never by itself", () => {
    const session = desk.page();
    desk.thread({ suggestion });
    expect(desk.sentOf("message.send")).toEqual([]);
    session.editSuggestion();
    session.setDraft("It arrives on Monday.");
    session.send();
    session.sendSuggestion();
    expect(desk.sentOf("message.send")).toMatchObject([
      { text: "It arrives on Monday.", suggestion: "s" },
      { text: "On its way.", suggestion: "s" },
    ]);
  });

  it("does not claim words of the agent's own", () => {
    const session = desk.page();
    desk.thread({ suggestion });
    session.setDraft("My own words.");
    session.send();
    expect(desk.sentOf("message.send")[0]).not.toHaveProperty("suggestion");
  });
});

describe("typing", () => {
  it("is told now and then, and only by whoever has the conversation", () => {
    const session = desk.page();
    session.sayTyping();
    session.sayTyping();
    vi.advanceTimersByTime(3_100);
    session.sayTyping();
    expect(desk.sentOf("typing")).toHaveLength(2);
    desk.say({
      type: "thread.updated",
      conversation: C,
      status: "human",
      assignment: 3,
      assignee: { id: 8, name: "Sam" },
    });
    vi.advanceTimersByTime(3_100);
    session.sayTyping();
    expect(desk.sentOf("typing")).toHaveLength(2);
  });

  it("of the customer is forgotten after a while", () => {
    const session = desk.page();
    desk.say({ type: "customer.typing", conversation: C });
    expect(session.typing).not.toBeNull();
    vi.advanceTimersByTime(6_100);
    expect(session.typing).toBeNull();
  });
});

describe("calling for attention", () => {
  const row: Row = {
    conversation: "0192c0de-0000-7000-8000-000000000002",
    title: "Where is my parcel?",
    customer: "Ada",
    language: "en",
    unread: 0,
    waiting_since: "2026-11-24T09:00:00Z",
    status: "waiting",
    assignment: 1,
    assignee: null,
  };

  it("once for who begins to wait, and for what is written to this agent elsewhere", () => {
    desk.page();
    desk.say({ type: "desk.row", row });
    desk.say({ type: "desk.row", row });
    expect(desk.called).toHaveLength(1);
    const own: Row = {
      ...row,
      status: "human",
      assignee: KIM,
      last: { role: "customer", text: "Hi", at: "" },
    };
    desk.say({ type: "desk.row", row: own });
    desk.say({ type: "desk.row", row: { ...own, unread: 1 } });
    desk.say({ type: "desk.row", row: { ...own, unread: 1 } });
    expect(desk.called).toEqual([expect.stringContaining("Where is my parcel?"), "Ada: Hi"]);
  });

  it("marks as read only what somebody looks at", () => {
    desk.visible = false;
    const session = desk.page();
    expect(desk.sentOf("thread.seen")).toEqual([]);
    desk.visible = true;
    session.wake();
    expect(desk.sentOf("thread.seen")).toMatchObject([{ seq: 1 }]);
  });
});
