/** Conversations as a server could have lived through them: the frames it sent, and the snapshot it would give after them. */
import fc from "fast-check";

import type { Frame, Message, ServerFrame } from "../src/shared/protocol";

export const CONVERSATION = "c";

export interface History {
  /** In the order in which the server sent them. */
  events: ServerFrame[];
  /** A `ready` for a browser that has nothing. */
  snapshot: Frame<"ready">;
  /** The deltas of the attempt that is still running. */
  running: string[];
}

interface Outcome {
  /** What happens to each attempt; all but the last are lost with their worker. */
  attempts: string[][];
  end: "done" | "failed" | "cancelled" | "cancelled empty" | "running";
  rating: "up" | "down" | null;
}

const outcome: fc.Arbitrary<Outcome> = fc.record({
  attempts: fc.array(fc.array(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 4 }), {
    minLength: 1,
    maxLength: 3,
  }),
  end: fc.constantFrom("done", "failed", "cancelled", "cancelled empty"),
  rating: fc.constantFrom("up", "down", null),
});

/** Several questions one after the other, of which the last may still be running. */
export const history: fc.Arbitrary<History> = fc
  .tuple(fc.array(outcome, { maxLength: 4 }), fc.option(outcome, { nil: undefined }))
  .map(([settled, running]) => play(running ? [...settled, { ...running, end: "running" }] : settled));

function play(outcomes: Outcome[]): History {
  const events: ServerFrame[] = [];
  const messages: Message[] = [];
  let open: Frame<"ready">["turn"];
  let running: string[] = [];

  const post = (role: Message["role"], text: string, more: Partial<Message> = {}): Message => {
    const seq = messages.length + 1;
    const message: Message = {
      id: `m${seq}`,
      seq,
      role,
      text,
      created_at: `2026-11-24T09:00:${String(seq).padStart(2, "0")}Z`,
      ...more,
    };
    messages.push(message);
    return message;
  };
  const replace = (message: Message, more: Partial<Message>) => {
    messages[messages.findIndex(({ id }) => id === message.id)] = { ...message, ...more };
  };

  for (const [index, { attempts, end, rating }] of outcomes.entries()) {
    const turn = `t${index}`;
    const client_id = `client-${index}`;
    const question = post("customer", `question ${index}`, {
      client_id,
      turn: { id: turn, status: "queued" },
    });
    events.push({ type: "message.accepted", client_id, message: question, turn });
    for (const [number, deltas] of attempts.entries()) {
      const attempt = number + 1;
      events.push({ type: "turn.started", turn, attempt });
      for (const [k, text] of deltas.entries()) events.push({ type: "reply.delta", turn, attempt, k, text });
    }
    const deltas = attempts.at(-1) ?? [];
    const text = deltas.join("");
    switch (end) {
      case "done": {
        const message = post("bot", text, { turn: { id: turn } });
        events.push({ type: "reply.finished", turn, message });
        replace(question, { turn: { id: turn, status: "done" } });
        if (rating !== null) {
          events.push({ type: "message.rated", message: message.id, rating });
          replace(message, { rating });
        }
        break;
      }
      case "failed": {
        const failure = { code: "engine", detail: "Sorry." };
        events.push({ type: "turn.failed", turn, ...failure });
        replace(question, { turn: { id: turn, status: "failed", ...failure } });
        break;
      }
      case "cancelled":
        events.push({
          type: "turn.cancelled",
          turn,
          message: post("bot", text, { turn: { id: turn }, stopped: true }),
        });
        replace(question, { turn: { id: turn, status: "cancelled" } });
        break;
      case "cancelled empty":
        events.push({ type: "turn.cancelled", turn });
        replace(question, { turn: { id: turn, status: "cancelled" } });
        break;
      case "running":
        running = deltas;
        replace(question, { turn: { id: turn, status: "running" } });
        open = {
          id: turn,
          message: question.id,
          status: "running",
          attempt: attempts.length,
          from: 0,
          k: deltas.length,
          text,
        };
        break;
    }
  }
  return {
    events,
    running,
    snapshot: {
      type: "ready",
      protocol: 1,
      conversation: CONVERSATION,
      status: "bot",
      messages,
      seq: messages.length,
      has_earlier: false,
      ...(open ? { turn: open } : {}),
    },
  };
}
