/** The staff socket's half of the wire protocol, version 1; docs/protocol.md says what every frame means. */
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
} from "../shared/shape";
import { message, parseFrame, PROTOCOL, source, status } from "../shared/protocol";

const agent = object({ id: integer, name: string });
const presentAgent = object({ id: integer, name: string, online: boolean });

const hands = {
  status,
  /** Grows whenever hands change; every command says which one it was given for. */
  assignment: integer,
  assignee: nullable(agent),
  email: optional(string),
};

const row = object({
  conversation: string,
  title: string,
  customer: string,
  language: string,
  unread: integer,
  waiting_since: string,
  last: optional(object({ role: string, text: string, at: string })),
  ...hands,
});

/** What the customer made of a conversation that has ended. */
const survey = object({ score: integer, comment: optional(string) });

const note = object({
  id: string,
  after_seq: integer,
  author: string,
  text: string,
  created_at: string,
  client_id: optional(string),
});

const suggestion = object({
  id: string,
  message: string,
  status: literal("waiting", "done", "failed", "sent"),
  text: string,
  error: string,
  sources: array(source),
});

const cannedReply = object({ shortcut: string, title: string, text: string });

const serverFrames = {
  "desk.ready": object({
    type: literal("desk.ready"),
    protocol: integer,
    me: agent,
    agents: array(presentAgent),
    rows: array(row),
    canned: array(cannedReply),
  }),
  "desk.row": object({ type: literal("desk.row"), row }),
  "desk.gone": object({ type: literal("desk.gone"), conversation: string }),
  "desk.agents": object({ type: literal("desk.agents"), agents: array(presentAgent) }),
  "thread.ready": object({
    type: literal("thread.ready"),
    conversation: string,
    customer: string,
    messages: array(message),
    seq: integer,
    has_earlier: boolean,
    notes: array(note),
    suggestion: nullable(suggestion),
    ...hands,
    survey: optional(survey),
  }),
  "thread.updated": object({
    type: literal("thread.updated"),
    conversation: string,
    ...hands,
    survey: optional(survey),
  }),
  "thread.gone": object({ type: literal("thread.gone"), conversation: string }),
  "thread.message": object({ type: literal("thread.message"), conversation: string, message }),
  "note.added": object({ type: literal("note.added"), conversation: string, note }),
  "suggestion.updated": object({ type: literal("suggestion.updated"), conversation: string, suggestion }),
  "customer.typing": object({ type: literal("customer.typing"), conversation: string }),
  "agent.typing": object({ type: literal("agent.typing"), conversation: string, name: optional(string) }),
  error: object({
    type: literal("error"),
    code: string,
    detail: string,
    client_id: optional(nullable(string)),
    conversation: optional(string),
    retry_after: optional(nullable(number)),
  }),
  pong: object({ type: literal("pong") }),
} as const;

export type Agent = Infer<typeof agent>;
export type PresentAgent = Infer<typeof presentAgent>;
export type Row = Infer<typeof row>;
export type Note = Infer<typeof note>;
export type Survey = Infer<typeof survey>;
export type Suggestion = Infer<typeof suggestion>;
export type CannedReply = Infer<typeof cannedReply>;
export type DeskFrame = {
  [T in keyof typeof serverFrames]: Infer<(typeof serverFrames)[T]>;
}[keyof typeof serverFrames];
export type Frame<T extends DeskFrame["type"]> = Extract<DeskFrame, { type: T }>;

/** Parses one text frame; `null` for a type that a newer server may have added. Throws ProtocolError on a wrong shape. */
export function parseDeskFrame(text: string): DeskFrame | null {
  return parseFrame<DeskFrame>(serverFrames, text);
}

/** One builder for every frame that the inbox may send. */
export const deskFrames = {
  hello: () => ({ type: "desk.hello" as const, protocol: PROTOCOL }),
  open: (conversation: string, after_seq = 0) => ({
    type: "thread.open" as const,
    conversation,
    ...(after_seq > 0 ? { after_seq } : {}),
  }),
  leave: () => ({ type: "thread.leave" as const }),
  seen: (conversation: string, seq: number) => ({ type: "thread.seen" as const, conversation, seq }),
  take: (conversation: string, assignment: number, take_over = false) => ({
    type: "conversation.take" as const,
    conversation,
    assignment,
    ...(take_over ? { take_over } : {}),
  }),
  assign: (conversation: string, assignment: number, to: number) => ({
    type: "conversation.assign" as const,
    conversation,
    assignment,
    to,
  }),
  release: (conversation: string, assignment: number) => ({
    type: "conversation.release" as const,
    conversation,
    assignment,
  }),
  giveBack: (conversation: string, assignment: number) => ({
    type: "conversation.return" as const,
    conversation,
    assignment,
  }),
  close: (conversation: string, assignment: number) => ({
    type: "conversation.close" as const,
    conversation,
    assignment,
  }),
  answer: (
    conversation: string,
    assignment: number,
    client_id: string,
    text: string,
    suggestion?: string,
  ) => ({
    type: "message.send" as const,
    conversation,
    assignment,
    client_id,
    text,
    ...(suggestion === undefined ? {} : { suggestion }),
  }),
  note: (conversation: string, client_id: string, text: string) => ({
    type: "note.add" as const,
    conversation,
    client_id,
    text,
  }),
  suggest: (conversation: string) => ({ type: "suggestion.request" as const, conversation }),
  typing: (conversation: string) => ({ type: "typing" as const, conversation }),
  ping: () => ({ type: "ping" as const }),
};

export type AgentFrame = ReturnType<(typeof deskFrames)[keyof typeof deskFrames]>;
