import { describe, expect, it } from "vitest";

import { clientFrames, parseServerFrame, ProtocolError, responses } from "../src/shared/protocol";
import { goldenFrames } from "./frames";

const CONVERSATION = "0192c0de-0000-7000-8000-000000000001";
const TURN = "0192c0de-0000-7000-8000-00000000000a";
const REPLY = "0192c0de-0000-7000-8000-0000000000b2";

describe("server frames", () => {
  it.each(goldenFrames("server"))("%s parses without losing a field", (_name, text) => {
    expect(parseServerFrame(text)).toEqual(JSON.parse(text));
  });

  it("has a golden frame for every type it understands", () => {
    const types = new Set(
      goldenFrames("server").map(([, text]) => (JSON.parse(text) as { type: string }).type),
    );
    expect([...types].sort()).toEqual([
      "agent.typing",
      "conversation.updated",
      "error",
      "message.accepted",
      "message.posted",
      "message.rated",
      "pong",
      "ready",
      "reply.delta",
      "reply.finished",
      "resync",
      "turn.cancelled",
      "turn.failed",
      "turn.started",
    ]);
  });

  it("ignores a type of a newer server", () => {
    expect(parseServerFrame('{"type": "weather"}')).toBeNull();
    expect(parseServerFrame('{"type": "constructor"}')).toBeNull();
  });

  it("drops fields it does not know", () => {
    expect(parseServerFrame('{"type": "pong", "extra": 1}')).toEqual({ type: "pong" });
  });

  it.each([
    ["no JSON", "{"],
    ["no object", "[]"],
    ["no type", "{}"],
    ["a field missing", '{"type": "turn.started", "turn": "t"}'],
    ["a field of the wrong type", '{"type": "turn.started", "turn": "t", "attempt": "1"}'],
    ["a null that may not be", '{"type": "reply.delta", "turn": "t", "attempt": 1, "k": null, "text": ""}'],
    ["an unknown status", '{"type": "conversation.updated", "conversation": "c", "status": "lost"}'],
  ])("refuses %s", (_name, text) => {
    expect(() => parseServerFrame(text)).toThrow(ProtocolError);
  });
});

describe("client frames", () => {
  const built: Record<string, unknown> = {
    hello: clientFrames.hello(),
    "hello-resume": clientFrames.hello({
      conversation: CONVERSATION,
      after_seq: 1,
      turn: TURN,
      attempt: 1,
      k: 3,
    }),
    "message.send": clientFrames.send("c-1", "How can I cancel my order?"),
    "message.send-files": clientFrames.send("c-2", "", ["0192c0de-0000-7000-8000-0000000000f1"]),
    "turn.cancel": clientFrames.cancel(TURN),
    "turn.retry": clientFrames.retry(TURN),
    "message.rate": clientFrames.rate(REPLY, "down", "It did not answer my question"),
    "message.rate-clear": clientFrames.rate(REPLY, null),
    "conversation.new": clientFrames.newConversation(),
    "conversation.handoff": clientFrames.handoff(),
    "conversation.return": clientFrames.return(),
    "conversation.email": clientFrames.email("ada@example.com"),
    "conversation.end": clientFrames.end(),
    "conversation.rate": clientFrames.rateConversation(4, "Quick and friendly."),
    typing: clientFrames.typing(),
    ping: clientFrames.ping(),
  };

  it.each(goldenFrames("client"))("%s is built exactly", (name, text) => {
    expect(built[name]).toEqual(JSON.parse(text));
  });

  it("builds no frame without a golden copy", () => {
    expect(Object.keys(built).sort()).toEqual(
      goldenFrames("client")
        .map(([name]) => name)
        .sort(),
    );
  });
});

describe("HTTP bodies", () => {
  it("takes what the protocol describes", () => {
    const chat = {
      name: "Shop",
      greeting: "Hello",
      starters: ["Where is my order?"],
      protocol: 1,
      training: "shop",
      agreed: null,
    };
    expect(responses.chat(chat)).toEqual(chat);
    const list = {
      conversations: [{ id: "c", title: "Hi", status: "bot", updated_at: "2026-11-24T09:00:00Z" }],
    };
    expect(responses.conversations(list)).toEqual(list);
    expect(responses.earlier({ messages: [], has_earlier: false })).toEqual({
      messages: [],
      has_earlier: false,
    });
  });

  it("refuses anything else", () => {
    expect(() => responses.chat({ name: "Shop" })).toThrow(ProtocolError);
    expect(() => responses.conversations([])).toThrow(ProtocolError);
  });
});
