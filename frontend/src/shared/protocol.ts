/**
 * Wire protocol, version 1: frame types, the parser for what the server sends, builders for what the browser sends.
 *
 * The frames are specified in docs/protocol.md. Golden copies in tests/frames/ are read by pytest and vitest alike.
 */
import {
  array,
  boolean,
  integer,
  literal,
  nullable,
  number,
  object,
  optional,
  string,
  type Infer,
  type Shape,
} from "./shape";

export const PROTOCOL = 1;

/** Longest message text the server takes, counted after trimming. */
export const MAX_TEXT = 4000;

/** Longest reason that may accompany a rating. */
export const MAX_REASON = 500;

/** Longest comment on a conversation as a whole. */
export const MAX_COMMENT = 1000;

export const status = literal("bot", "waiting", "human", "closed");
const rating = literal("up", "down");
const turnStatus = literal("queued", "running", "done", "failed", "cancelled");

export const source = object({ title: string, url: string, passage: string });

/** While a conversation waits: how far it is from its turn, and whether anybody is there to take it. */
const queue = object({
  place: integer,
  open: boolean,
  opens_at: optional(string),
  email: optional(string),
});
/** Who of the team has the conversation, by first name where the account has one. */
const agent = object({ name: optional(string) });

/** A file of a customer's. */
export const attachment = object({
  id: string,
  kind: literal("image", "pdf"),
  name: string,
  type: string,
  size: integer,
  width: optional(integer),
  height: optional(integer),
});

/** Once a conversation has ended: whether the customer may still say what they make of it, and what they said. */
const survey = object({ open: boolean, score: optional(integer), comment: optional(string) });

export const message = object({
  id: string,
  seq: integer,
  role: literal("customer", "bot", "agent", "system"),
  text: string,
  created_at: string,
  client_id: optional(string),
  intent: optional(nullable(string)),
  sources: optional(array(source)),
  quick_replies: optional(array(string)),
  rating: optional(nullable(rating)),
  // On a customer message: the latest turn that answers it. On a bot message: the turn it answers, only its id.
  turn: optional(
    nullable(
      object({
        id: string,
        status: optional(turnStatus),
        code: optional(string),
        detail: optional(string),
      }),
    ),
  ),
  stopped: optional(boolean),
  author: optional(string),
  attachments: optional(array(attachment)),
});

const openTurn = object({
  id: string,
  message: string,
  status: literal("queued", "running"),
  attempt: integer,
  from: integer,
  k: integer,
  text: string,
});

const serverFrames = {
  ready: object({
    type: literal("ready"),
    protocol: integer,
    conversation: string,
    status,
    messages: array(message),
    seq: integer,
    has_earlier: boolean,
    turn: optional(nullable(openTurn)),
    queue: optional(queue),
    agent: optional(agent),
    survey: optional(survey),
  }),
  "message.accepted": object({
    type: literal("message.accepted"),
    client_id: string,
    message,
    turn: nullable(string),
  }),
  "message.posted": object({ type: literal("message.posted"), message }),
  "message.rated": object({ type: literal("message.rated"), message: string, rating: nullable(rating) }),
  "conversation.updated": object({
    type: literal("conversation.updated"),
    conversation: string,
    status,
    queue: optional(queue),
    agent: optional(agent),
    survey: optional(survey),
  }),
  "agent.typing": object({ type: literal("agent.typing"), name: optional(string) }),
  "turn.started": object({ type: literal("turn.started"), turn: string, attempt: integer }),
  "reply.delta": object({
    type: literal("reply.delta"),
    turn: string,
    attempt: integer,
    k: integer,
    text: string,
  }),
  "reply.finished": object({ type: literal("reply.finished"), turn: string, message }),
  "turn.failed": object({ type: literal("turn.failed"), turn: string, code: string, detail: string }),
  "turn.cancelled": object({
    type: literal("turn.cancelled"),
    turn: string,
    message: optional(nullable(message)),
  }),
  resync: object({ type: literal("resync") }),
  error: object({
    type: literal("error"),
    code: string,
    detail: string,
    client_id: optional(nullable(string)),
    retry_after: optional(nullable(number)),
  }),
  pong: object({ type: literal("pong") }),
} as const;

export type QueuePlace = Infer<typeof queue>;
export type Survey = Infer<typeof survey>;
export type ConversationStatus = Infer<typeof status>;
export type Rating = Infer<typeof rating>;
export type TurnStatus = Infer<typeof turnStatus>;
export type Source = Infer<typeof source>;
export type Message = Infer<typeof message>;
export type Attachment = Infer<typeof attachment>;
export type OpenTurn = Infer<typeof openTurn>;
export type ServerFrame = {
  [T in keyof typeof serverFrames]: Infer<(typeof serverFrames)[T]>;
}[keyof typeof serverFrames];
export type Frame<T extends ServerFrame["type"]> = Extract<ServerFrame, { type: T }>;

/** The server said something this page does not understand. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/**
 * Parses one text frame. Returns `null` for a type that a newer server may have added, and drops unknown fields.
 *
 * @throws ProtocolError when the text is not JSON or a known frame has the wrong shape.
 */
export function parseServerFrame(text: string): ServerFrame | null {
  return parseFrame<ServerFrame>(serverFrames, text);
}

/** The same for any set of frames, each by what its `type` says. */
export function parseFrame<F>(frames: Readonly<Record<string, Shape<unknown>>>, text: string): F | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ProtocolError("The frame is not JSON.", { cause: error });
  }
  if (typeof value !== "object" || value === null || !("type" in value) || typeof value.type !== "string") {
    throw new ProtocolError("The frame has no type.");
  }
  const frame = Object.hasOwn(frames, value.type) ? frames[value.type] : undefined;
  if (frame === undefined) return null;
  try {
    return frame(value, value.type) as F;
  } catch (error) {
    throw new ProtocolError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** What the browser already shows, so that the server sends only the rest. */
export interface Resume {
  conversation: string;
  after_seq?: number;
  turn?: string;
  attempt?: number;
  k?: number;
}

/** One builder for every frame the browser may send. */
export const clientFrames = {
  hello: (resume?: Resume) => ({ type: "hello" as const, protocol: PROTOCOL, ...resume }),
  send: (client_id: string, text: string, attachments: readonly string[] = []) => ({
    type: "message.send" as const,
    client_id,
    text,
    ...(attachments.length > 0 ? { attachments } : {}),
  }),
  cancel: (turn: string) => ({ type: "turn.cancel" as const, turn }),
  retry: (turn: string) => ({ type: "turn.retry" as const, turn }),
  rate: (message: string, rating: Rating | null, reason?: string) => ({
    type: "message.rate" as const,
    message,
    rating,
    ...(reason ? { reason } : {}),
  }),
  newConversation: () => ({ type: "conversation.new" as const }),
  handoff: () => ({ type: "conversation.handoff" as const }),
  return: () => ({ type: "conversation.return" as const }),
  email: (email: string) => ({ type: "conversation.email" as const, email }),
  end: () => ({ type: "conversation.end" as const }),
  rateConversation: (score: number, comment = "") => ({
    type: "conversation.rate" as const,
    score,
    ...(comment ? { comment } : {}),
  }),
  typing: () => ({ type: "typing" as const }),
  ping: () => ({ type: "ping" as const }),
};

export type ClientFrame = ReturnType<(typeof clientFrames)[keyof typeof clientFrames]>;

const chatInfo = object({
  name: string,
  greeting: string,
  starters: array(string),
  protocol: integer,
  training: literal("shop", "never", "notice", "ask"),
  agreed: nullable(boolean),
  // Null where no files are taken.
  attachments: optional(nullable(object({ max_mib: integer, per_message: integer }))),
});
const conversationSummary = object({ id: string, title: string, status, updated_at: string });
const conversationList = object({ conversations: array(conversationSummary) });
const earlierMessages = object({ messages: array(message), has_earlier: boolean });

export type ChatInfo = Infer<typeof chatInfo>;
export type ConversationSummary = Infer<typeof conversationSummary>;
export type EarlierMessages = Infer<typeof earlierMessages>;

/** Bodies of the HTTP endpoints beside the socket. Each throws ProtocolError on a wrong shape. */
export const responses = {
  chat: guarded(chatInfo),
  conversations: guarded(conversationList),
  earlier: guarded(earlierMessages),
  attachment: guarded(attachment),
};

function guarded<T>(shape: (value: unknown, path: string) => T): (value: unknown) => T {
  return (value) => {
    try {
      return shape(value, "body");
    } catch (error) {
      throw new ProtocolError(error instanceof Error ? error.message : String(error), { cause: error });
    }
  };
}
