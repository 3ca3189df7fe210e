import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  apply,
  emptyConversation,
  gapOf,
  latestTurn,
  openTurn,
  prependEarlier,
  resumeFrom,
  type ConversationState,
} from "../src/chat/conversation";
import { parseServerFrame, type Frame, type Message, type ServerFrame } from "../src/shared/protocol";
import { goldenFrames } from "./frames";
import { CONVERSATION, history } from "./history";

const golden = Object.fromEntries(
  goldenFrames("server").map(([name, text]) => [name, parseServerFrame(text)]),
);

function frame(name: string): ServerFrame {
  const found = golden[name];
  if (!found) throw new Error(`no golden frame ${name}`);
  return found;
}

function play(
  frames: readonly ServerFrame[],
  from: ConversationState = emptyConversation,
): ConversationState {
  return frames.reduce(apply, from);
}

/** All that a visitor can see. */
function visible(state: ConversationState) {
  const open = openTurn(state);
  const latest = latestTurn(state);
  return {
    id: state.id,
    status: state.status,
    messages: state.messages,
    hasEarlier: state.hasEarlier,
    open: open && { id: open.id, attempt: open.draft.attempt, k: open.draft.k, text: open.draft.text },
    latest: latest && { id: latest.id, status: latest.status, detail: latest.detail },
    gap: gapOf(state),
  };
}

const opened = play([
  {
    type: "ready",
    protocol: 1,
    conversation: CONVERSATION,
    status: "bot",
    messages: [],
    seq: 0,
    has_earlier: false,
  },
]);

const started: ServerFrame = { type: "turn.started", turn: "t", attempt: 1 };

function delta(k: number, text: string, attempt = 1): ServerFrame {
  return { type: "reply.delta", turn: "t", attempt, k, text };
}

function message(seq: number, role: Message["role"], more: Partial<Message> = {}): Message {
  return { id: `m${seq}`, seq, role, text: `text ${seq}`, created_at: "2026-11-24T09:00:00Z", ...more };
}

function ready(messages: Message[], more: Partial<Frame<"ready">> = {}): ServerFrame {
  return {
    type: "ready",
    protocol: 1,
    conversation: CONVERSATION,
    status: "bot",
    messages,
    seq: messages.at(-1)?.seq ?? 0,
    has_earlier: false,
    ...more,
  };
}

function accepted(seq: number, turn: string): ServerFrame {
  return {
    type: "message.accepted",
    client_id: `client-${seq}`,
    message: message(seq, "customer", { client_id: `client-${seq}`, turn: { id: turn, status: "queued" } }),
    turn,
  };
}

describe("the golden conversation", () => {
  it("streams a reply and ends with what a fresh page is given", () => {
    const running = play(
      ["ready-empty", "message.accepted", "turn.started", "reply.delta"].map((name) => frame(name)),
    );
    expect(openTurn(running)?.draft.text).toBe("Open");

    const finished = play([frame("reply.finished"), frame("message.rated")], running);
    expect(openTurn(finished)).toBeUndefined();
    expect(visible(finished)).toEqual(visible(play([frame("ready-done")])));
  });

  it("shows a failure the same way live and after a reload", () => {
    const live = play(["ready-empty", "message.accepted", "turn.failed"].map((name) => frame(name)));
    expect(latestTurn(live)).toMatchObject({
      status: "failed",
      detail: expect.stringContaining("try again"),
    });
    expect(visible(live)).toEqual(visible(play([frame("ready-failed")])));
  });

  it("keeps what had been written when the reply was stopped", () => {
    const live = play(["ready-running", "turn.cancelled"].map((name) => frame(name)));
    expect(live.messages.at(-1)).toMatchObject({ text: "Open Account, th", stopped: true });
    expect(latestTurn(live)?.status).toBe("cancelled");
  });

  it("needs no message for a reply that was stopped before it began", () => {
    const live = play(["ready-running", "turn.cancelled-empty"].map((name) => frame(name)));
    expect(live.messages).toHaveLength(1);
    expect(latestTurn(live)?.status).toBe("cancelled");
    expect(openTurn(live)).toBeUndefined();
  });

  it("takes a running reply over from the snapshot", () => {
    const state = play([frame("ready-running")]);
    expect(openTurn(state)?.draft).toMatchObject({ attempt: 1, k: 3, text: "Open Account, then" });
  });

  it("owes nothing once a person has the conversation", () => {
    const state = play(
      ["ready-empty", "conversation.updated", "message.accepted-human", "message.posted"].map((name) =>
        frame(name),
      ),
    );
    expect(state.status).toBe("waiting");
    expect(openTurn(state)).toBeUndefined();
    expect(state.messages.map(({ role }) => role)).toEqual(["customer", "system"]);
  });
});

describe("properties", () => {
  /** The events of a history in any order, some of them twice. */
  const shuffled = history.chain(({ events, snapshot }) =>
    fc.record({
      events: fc.constant(events),
      snapshot: fc.constant(snapshot),
      noise: fc.shuffledSubarray([...events, ...events]),
    }),
  );

  it("state plus events equals fresh state", () => {
    fc.assert(
      fc.property(history, ({ events, snapshot }) => {
        expect(visible(play(events, opened))).toEqual(visible(play([snapshot])));
      }),
    );
  });

  it("a snapshot after any events in any order equals the snapshot", () => {
    fc.assert(
      fc.property(shuffled, ({ noise, snapshot }) => {
        expect(visible(play([...noise, snapshot], opened))).toEqual(visible(play([snapshot])));
      }),
    );
  });

  it("events sent again after the snapshot change nothing", () => {
    fc.assert(
      fc.property(shuffled, ({ noise, snapshot }) => {
        const fresh = play([snapshot]);
        // A rating is a value, not an event: an older one sent again would be the newer one.
        const repeated = noise.filter(({ type }) => type !== "message.rated");
        expect(visible(play(repeated, fresh))).toEqual(visible(fresh));
      }),
    );
  });

  it("all events in any order give the same messages and the same open reply", () => {
    fc.assert(
      fc.property(
        history.chain(({ events }) =>
          fc.record({
            events: fc.constant(events),
            mixed: fc.shuffledSubarray(events, { minLength: events.length }),
          }),
        ),
        ({ events, mixed }) => {
          const [ordered, reordered] = [play(events, opened), play(mixed, opened)];
          const texts = (state: ConversationState) => state.messages.map(({ id, text }) => [id, text]);
          expect(texts(reordered)).toEqual(texts(ordered));
          expect(openTurn(reordered)?.draft.text).toEqual(openTurn(ordered)?.draft.text);
        },
      ),
    );
  });

  it("a browser that reconnects anywhere sees what it would have seen had it stayed", () => {
    fc.assert(
      fc.property(history, fc.nat(), ({ events, snapshot, running }, cut) => {
        const seen = play(events.slice(0, cut % (events.length + 1)), opened);
        const { after_seq = 0, turn, attempt, k = 0 } = resumeFrom(seen) ?? {};

        const answer = { ...snapshot, messages: snapshot.messages.filter(({ seq }) => seq > after_seq) };
        if (snapshot.turn?.id === turn && snapshot.turn?.attempt === attempt && answer.turn) {
          answer.turn = { ...answer.turn, from: k, text: running.slice(k).join("") };
        }
        expect(visible(apply(seen, answer))).toEqual(visible(play([snapshot])));
      }),
    );
  });
});

describe("deltas", () => {
  it("are put in order, and each is used once", () => {
    const state = play([started, delta(1, "b"), delta(0, "a"), delta(0, "a"), delta(2, "c")], opened);
    expect(openTurn(state)?.draft.text).toBe("abc");
    expect(gapOf(state)).toBeNull();
  });

  it("report a hole with what the browser has", () => {
    const state = play([accepted(1, "t"), started, delta(0, "a"), delta(2, "c")], opened);
    expect(openTurn(state)?.draft.text).toBe("a");
    expect(gapOf(state)).toEqual({
      key: "delta t 1 1",
      resume: { conversation: CONVERSATION, turn: "t", attempt: 1, k: 1 },
    });
  });

  it("of a new attempt begin the text again", () => {
    const state = play([started, delta(0, "old"), delta(0, "new", 2), delta(1, "late", 1)], opened);
    expect(openTurn(state)?.draft).toMatchObject({ attempt: 2, text: "new", k: 1 });
  });

  it("of a reply that has ended are ignored", () => {
    const reply = message(2, "bot", { turn: { id: "t" } });
    const state = play(
      [accepted(1, "t"), { type: "reply.finished", turn: "t", message: reply }, delta(0, "x")],
      opened,
    );
    expect(openTurn(state)).toBeUndefined();
  });

  it("are spliced where the snapshot begins, even when newer ones have overtaken it", () => {
    const before = play([accepted(1, "t"), started, delta(0, "aa"), delta(1, "b"), delta(2, "c")], opened);
    const turn = {
      id: "t",
      message: "m1",
      status: "running" as const,
      attempt: 1,
      from: 1,
      k: 4,
      text: "bcd",
    };
    const question = message(1, "customer", { turn: { id: "t", status: "running" } });
    expect(openTurn(apply(before, ready([question], { turn })))?.draft).toMatchObject({
      text: "aabcd",
      k: 4,
    });
  });
});

describe("messages", () => {
  it("that are missing in between are asked for", () => {
    const state = play([
      ready([message(1, "customer")]),
      { type: "message.posted", message: message(4, "agent") },
    ]);
    expect(gapOf(state)).toMatchObject({ key: "after 1", resume: { after_seq: 1 } });
    expect(
      gapOf(apply(state, ready([message(2, "system"), message(3, "agent"), message(4, "agent")]))),
    ).toBeNull();
  });

  it("that a snapshot cannot reach back to are left for scrolling", () => {
    const state = play([
      ready([message(1, "customer")]),
      ready([message(60, "customer"), message(61, "agent")]),
    ]);
    expect(state.messages.map(({ seq }) => seq)).toEqual([60, 61]);
    expect(state.hasEarlier).toBe(true);
    expect(gapOf(state)).toBeNull();
  });

  it("fetched by scrolling go in front", () => {
    const state = prependEarlier(play([ready([message(3, "bot")], { has_earlier: true })]), {
      messages: [message(1, "customer"), message(2, "bot")],
      has_earlier: false,
    });
    expect(state.messages.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(state.hasEarlier).toBe(false);
  });

  it("keep knowing whether there are older ones when only newer ones are sent", () => {
    const state = play([ready([message(3, "bot")], { has_earlier: true }), ready([message(4, "bot")])]);
    expect(state.hasEarlier).toBe(true);
    expect(play([ready([], {})], state).hasEarlier).toBe(true);
  });

  it("of another conversation replace what was there", () => {
    const state = play([ready([message(1, "customer")]), ready([], { conversation: "other" })]);
    expect(state).toEqual({ ...emptyConversation, id: "other" });
  });
});

describe("a retry", () => {
  const answered = play([
    ready([
      message(1, "customer", { turn: { id: "t", status: "done" } }),
      message(2, "bot", { turn: { id: "t" } }),
    ]),
  ]);

  it("becomes the latest turn of the same question", () => {
    const again = apply(answered, { type: "turn.started", turn: "t2", attempt: 1 });
    expect(latestTurn(again)).toMatchObject({ id: "t2", message: "m1", status: "running" });

    const failed = apply(again, { type: "turn.failed", turn: "t2", code: "engine", detail: "Sorry." });
    expect(latestTurn(failed)).toMatchObject({ id: "t2", status: "failed" });
    // The first answer is still there, and its turn no longer counts.
    expect(failed.messages).toHaveLength(2);
  });

  it("may be announced by the question being accepted with another turn", () => {
    const announced = apply(answered, {
      type: "message.accepted",
      client_id: "client-1",
      message: message(1, "customer", { turn: { id: "t2", status: "queued" } }),
      turn: "t2",
    });
    expect(openTurn(announced)).toMatchObject({ id: "t2", status: "queued" });
    expect(latestTurn(announced)?.id).toBe("t2");
    expect(announced.messages).toHaveLength(2);
  });

  it("does not outlive the next question", () => {
    const state = play([{ type: "turn.started", turn: "t2", attempt: 1 }, accepted(3, "t3")], answered);
    expect(latestTurn(state)?.id).toBe("t3");
    expect(openTurn(state)?.id).toBe("t2");
  });

  it("makes what is still said about the turn before it meaningless", () => {
    const replaced = play([
      ready([
        message(1, "customer", { turn: { id: "t2", status: "failed", detail: "Sorry." } }),
        message(2, "bot", { turn: { id: "t" } }),
      ]),
    ]);
    const repeated = play(
      [started, delta(0, "a"), { type: "turn.failed", turn: "t", code: "engine", detail: "Old." }],
      replaced,
    );
    expect(visible(repeated)).toEqual(visible(replaced));
  });
});

describe("a turn that has ended", () => {
  it("is not begun again by a snapshot that was taken before", () => {
    const failed = play(
      [accepted(1, "t"), { type: "turn.failed", turn: "t", code: "engine", detail: "Sorry." }],
      opened,
    );
    const turn = { id: "t", message: "m1", status: "running" as const, attempt: 1, from: 0, k: 1, text: "a" };
    const late = apply(
      failed,
      ready([message(1, "customer", { turn: { id: "t", status: "running" } })], { turn }),
    );
    expect(openTurn(late)).toBeUndefined();
    expect(latestTurn(late)).toMatchObject({ status: "failed", detail: "Sorry." });
  });
});

describe("hello", () => {
  it("asks again from the oldest question that waits", () => {
    const state = play([
      ready([
        message(1, "customer", { turn: { id: "t0", status: "done" } }),
        message(2, "bot", { turn: { id: "t0" } }),
        message(3, "customer", { turn: { id: "t1", status: "running" } }),
        message(4, "customer", { turn: { id: "t2", status: "queued" } }),
      ]),
    ]);
    expect(resumeFrom(state)).toEqual({ conversation: CONVERSATION, after_seq: 2 });
  });

  it("asks for everything after a resync", () => {
    const state = play([ready([message(1, "customer"), message(2, "bot")]), { type: "resync" }]);
    expect(gapOf(state)).toEqual({ key: "stale", resume: { conversation: CONVERSATION } });
    expect(gapOf(apply(state, ready([message(1, "customer"), message(2, "bot")])))).toBeNull();
  });

  it("names nothing before the first conversation is known", () => {
    expect(resumeFrom(emptyConversation)).toBeUndefined();
    expect(gapOf(apply(emptyConversation, { type: "resync" }))).toBeNull();
  });
});
