import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  apply,
  attention,
  emptyDesk,
  gapOf,
  matching,
  mine,
  others,
  waiting,
  type DeskState,
} from "../src/inbox/desk";
import { deskFrames, parseDeskFrame, type DeskFrame, type Frame, type Row } from "../src/inbox/protocol";
import { lasted } from "../src/inbox/strings";
import type { Message } from "../src/shared/protocol";
import { goldenFrames } from "./frames";

const KIM = { id: 7, name: "Kim" };
const SAM = { id: 8, name: "Sam" };
const C = "0192c0de-0000-7000-8000-000000000001";

function row(more: Partial<Row> = {}): Row {
  return {
    conversation: C,
    title: "Where is my parcel?",
    customer: "Visitor",
    language: "en",
    unread: 0,
    waiting_since: "2026-11-24T09:00:00Z",
    status: "waiting",
    assignment: 1,
    assignee: null,
    ...more,
  };
}

function said(seq: number, role: Message["role"] = "customer", more: Partial<Message> = {}): Message {
  return { id: `m${seq}`, seq, role, text: `text ${seq}`, created_at: "2026-11-24T09:00:00Z", ...more };
}

function ready(rows: Row[]): Frame<"desk.ready"> {
  return { type: "desk.ready", protocol: 1, me: KIM, agents: [], rows, canned: [] };
}

function thread(more: Partial<Frame<"thread.ready">> = {}): Frame<"thread.ready"> {
  return {
    type: "thread.ready",
    conversation: C,
    customer: "Visitor",
    messages: [said(1)],
    seq: 1,
    has_earlier: false,
    notes: [],
    suggestion: null,
    status: "waiting",
    assignment: 1,
    assignee: null,
    ...more,
  };
}

function after(...frames: DeskFrame[]): DeskState {
  return frames.reduce(apply, emptyDesk);
}

describe("frames", () => {
  it.each(goldenFrames("desk/server"))("%s parses without losing a field", (_name, text) => {
    expect(parseDeskFrame(text)).toEqual(JSON.parse(text));
  });

  const S = "0192c0de-0000-7000-8000-0000000000c1";
  const built: Record<string, unknown> = {
    "desk.hello": deskFrames.hello(),
    "thread.open": deskFrames.open(C),
    "thread.open-resume": deskFrames.open(C, 4),
    "thread.leave": deskFrames.leave(),
    "thread.seen": deskFrames.seen(C, 5),
    "conversation.take": deskFrames.take(C, 1),
    "conversation.take-over": deskFrames.take(C, 2, true),
    "conversation.assign": deskFrames.assign(C, 2, 7),
    "conversation.release": deskFrames.release(C, 2),
    "conversation.return": deskFrames.giveBack(C, 2),
    "conversation.close": deskFrames.close(C, 2),
    "message.send": deskFrames.answer(C, 2, "a-1", "Hello, I am Kim."),
    "message.send-suggestion": deskFrames.answer(C, 2, "a-2", "It is on its way.", S),
    "note.add": deskFrames.note(C, "n-1", "Called back."),
    "suggestion.request": deskFrames.suggest(C),
    typing: deskFrames.typing(C),
    ping: deskFrames.ping(),
  };

  it.each(goldenFrames("desk/client"))("%s is built exactly", (name, text) => {
    expect(built[name]).toEqual(JSON.parse(text));
  });

  it("builds no frame without a golden copy", () => {
    const golden = goldenFrames("desk/client").map(([name]) => name);
    expect(Object.keys(built).sort()).toEqual(golden.sort());
  });
});

describe("the list", () => {
  it("puts each conversation where it belongs, the longest wait first", () => {
    const state = after(
      ready([
        row({ conversation: "late", waiting_since: "2026-11-24T09:09:00Z" }),
        row({ conversation: "early" }),
        row({ conversation: "own", status: "human", assignee: KIM, unread: 2 }),
        row({ conversation: "theirs", status: "human", assignee: SAM, unread: 5 }),
      ]),
    );
    expect(waiting(state).map(({ conversation }) => conversation)).toEqual(["early", "late"]);
    expect(mine(state).map(({ conversation }) => conversation)).toEqual(["own"]);
    expect(others(state).map(({ conversation }) => conversation)).toEqual(["theirs"]);
    expect(attention(state)).toBe(4);
  });

  it("ends as a fresh list would, whatever order and repetition rows come in", () => {
    const change = fc.record({
      conversation: fc.constantFrom("a", "b", "c"),
      waiting_since: fc.constantFrom("2026-11-24T09:00:00Z", "2026-11-24T09:01:00Z"),
      unread: fc.nat(3),
      gone: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const truth = new Map<string, Row>();
        const frames = changes.flatMap(({ gone, ...fields }): DeskFrame[] => {
          if (gone) {
            truth.delete(fields.conversation);
            return [{ type: "desk.gone", conversation: fields.conversation }];
          }
          truth.set(fields.conversation, row(fields));
          const frame = { type: "desk.row" as const, row: row(fields) };
          return [frame, frame];
        });
        expect(after(ready([]), ...frames).rows).toEqual(after(ready([...truth.values()])).rows);
      }),
    );
  });
});

describe("a conversation", () => {
  it("takes messages in any order, each once, and reports what is missing", () => {
    const seqs = fc.uniqueArray(fc.integer({ min: 2, max: 9 }));
    fc.assert(
      fc.property(seqs, (order) => {
        const messages = order.map((seq) => said(seq));
        const frames = [...messages, ...messages].map((message): DeskFrame => ({
          type: "thread.message",
          conversation: C,
          message,
        }));
        const state = after(ready([]), thread(), ...frames).thread;
        const expected = [1, ...order].sort((a, b) => a - b);
        expect(state?.messages.map(({ seq }) => seq)).toEqual(expected);
        const hole = expected.find(
          (seq, index) => expected[index + 1] !== undefined && expected[index + 1] !== seq + 1,
        );
        expect(state && gapOf(state)).toBe(hole ?? null);
      }),
    );
  });

  it("goes on where it was after a reconnect", () => {
    const resumed = thread({ messages: [said(2), said(3, "agent")], seq: 3, status: "human", assignee: KIM });
    const state = after(ready([]), thread(), resumed).thread;
    expect(state?.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(state?.assignee).toEqual(KIM);
  });

  it("keeps what its own page knows of a message that is told again without it", () => {
    const own: DeskFrame = {
      type: "thread.message",
      conversation: C,
      message: said(2, "agent", { client_id: "a" }),
    };
    const told: DeskFrame = { type: "thread.message", conversation: C, message: said(2, "agent") };
    expect(after(ready([]), thread(), own, told).thread?.messages[1]?.client_id).toBe("a");
  });

  it("drops a draft once the customer has written something else", () => {
    const suggestion = {
      id: "s",
      message: "m1",
      status: "done" as const,
      text: "On its way.",
      error: "",
      sources: [],
    };
    const drafted: DeskFrame = { type: "suggestion.updated", conversation: C, suggestion };
    const state = after(ready([]), thread(), drafted);
    expect(state.thread?.suggestion?.text).toBe("On its way.");
    const next = apply(state, { type: "thread.message", conversation: C, message: said(2) });
    expect(next.thread?.suggestion).toBeNull();
    expect(apply(next, drafted).thread?.suggestion).toBeNull();
  });

  it("takes nothing that belongs to another", () => {
    const elsewhere: DeskFrame = { type: "thread.message", conversation: "other", message: said(2) };
    expect(after(ready([]), thread(), elsewhere).thread?.messages).toHaveLength(1);
  });
});

describe("canned replies", () => {
  const canned = [
    { shortcut: "hello", title: "Greeting", text: "Hello!" },
    { shortcut: "order-number", title: "Ask for it", text: "Say hello to your order number" },
  ];

  it("finds by shortcut first, then by any word", () => {
    expect(matching(canned, "hello").map(({ shortcut }) => shortcut)).toEqual(["hello", "order-number"]);
    expect(matching(canned, "ask").map(({ shortcut }) => shortcut)).toEqual(["order-number"]);
    expect(matching(canned, "nothing")).toEqual([]);
  });
});

describe("how long somebody has waited", () => {
  it.each([
    [20, "less than a minute"],
    [5 * 60, "5 min"],
    [90 * 60, "1 h 30 min"],
    [3 * 86_400, "3 days"],
  ])("after %d s", (seconds, words) => {
    const since = "2026-11-24T09:00:00Z";
    expect(lasted(since, Date.parse(since) + seconds * 1000)).toBe(words);
  });
});
