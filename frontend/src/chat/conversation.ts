/**
 * What one conversation looks like, as a pure function of the frames received.
 *
 * `apply(state, frame)` never asks the clock, storage or the network. Frames may arrive twice or out of order: messages are
 * merged by id, deltas by their number, and a turn that has ended stays ended. `ready` is a snapshot and wins over what
 * was guessed before it. What is missing is reported by `gapOf`, for the connection to ask again.
 */
import type {
  ConversationStatus,
  EarlierMessages,
  Frame,
  Message,
  QueuePlace,
  Rating,
  Resume,
  ServerFrame,
  Survey,
  TurnStatus,
} from "../shared/protocol";

/** A reply as far as it has been streamed. */
export interface Draft {
  readonly attempt: number;
  /** Number of the next delta. */
  readonly k: number;
  readonly text: string;
  /** Length of `text` before delta `k`, for splicing in a snapshot that begins at an earlier one. */
  readonly marks: Readonly<Record<number, number>>;
  /** Deltas that arrived ahead of a missing one. */
  readonly ahead: Readonly<Record<number, string>>;
}

export interface TurnState {
  readonly id: string;
  /** The customer message it answers, as far as that is known. */
  readonly message: string | null;
  readonly status: TurnStatus;
  readonly draft: Draft;
  readonly code?: string;
  readonly detail?: string;
}

export interface ConversationState {
  readonly id: string | null;
  readonly status: ConversationStatus;
  /** While it waits for a person. */
  readonly queue?: QueuePlace | undefined;
  /** Who of the team has it. */
  readonly agent?: { readonly name?: string } | undefined;
  /** Once it has ended. */
  readonly survey?: Survey | undefined;
  /** In order of `seq`, each id once. */
  readonly messages: readonly Message[];
  readonly hasEarlier: boolean;
  /** In the order in which they became known. */
  readonly turns: readonly TurnState[];
  /** Turns that a later one has replaced; nothing about them matters any more. */
  readonly retired: readonly string[];
  /** The server said that its own view has a hole: take a whole snapshot. */
  readonly stale: boolean;
}

/** What has to be asked for again. `key` differs from one hole to the next. */
export interface Gap {
  readonly key: string;
  readonly resume: Resume;
}

export const emptyConversation: ConversationState = {
  id: null,
  status: "bot",
  messages: [],
  hasEarlier: false,
  turns: [],
  retired: [],
  stale: false,
};

const emptyDraft: Draft = { attempt: 0, k: 0, text: "", marks: {}, ahead: {} };

export function apply(state: ConversationState, frame: ServerFrame): ConversationState {
  switch (frame.type) {
    case "ready":
      return applySnapshot(state, frame);
    case "message.accepted":
      return declareTurn(addMessages(state, [frame.message]), frame.turn, frame.message.id);
    case "message.posted":
      return addMessages(state, [frame.message]);
    case "message.rated":
      return rate(state, frame.message, frame.rating);
    case "conversation.updated":
      return frame.conversation === state.id
        ? { ...state, status: frame.status, queue: frame.queue, agent: frame.agent, survey: frame.survey }
        : state;
    case "turn.started":
      return updateTurn(state, frame.turn, (turn) =>
        isOver(turn) ? turn : { ...turn, status: "running", draft: atAttempt(turn.draft, frame.attempt) },
      );
    case "reply.delta":
      return updateTurn(state, frame.turn, (turn) =>
        isOver(turn) ? turn : { ...turn, status: "running", draft: addDelta(turn.draft, frame) },
      );
    case "reply.finished":
      return endTurn(addMessages(state, [frame.message]), frame.turn, { status: "done" });
    case "turn.failed":
      return endTurn(state, frame.turn, { status: "failed", code: frame.code, detail: frame.detail });
    case "turn.cancelled":
      return endTurn(frame.message ? addMessages(state, [frame.message]) : state, frame.turn, {
        status: "cancelled",
      });
    case "resync":
      return { ...state, stale: true };
    case "agent.typing":
    case "error":
    case "pong":
      return state;
  }
}

/** Adds older messages that were fetched over HTTP. */
export function prependEarlier(state: ConversationState, earlier: EarlierMessages): ConversationState {
  const declared = declaredTurns(earlier.messages, state.turns);
  return {
    ...state,
    messages: merge(state.messages, earlier.messages, "incoming wins"),
    turns: [...declared.values(), ...state.turns.filter((turn) => !declared.has(turn.id))],
    hasEarlier: earlier.has_earlier,
  };
}

/** Shows a rating before the server has confirmed it. */
export function rate(state: ConversationState, id: string, rating: Rating | null): ConversationState {
  return {
    ...state,
    messages: state.messages.map((message) => (message.id === id ? { ...message, rating } : message)),
  };
}

export function isOver(turn: Pick<TurnState, "status">): boolean {
  return turn.status === "done" || turn.status === "failed" || turn.status === "cancelled";
}

/** The oldest turn that still owes an answer. */
export function openTurn(state: ConversationState): TurnState | undefined {
  const open = state.turns.filter((turn) => !isOver(turn));
  return open.find((turn) => turn.status === "running") ?? open[0];
}

/** The newest turn of the last customer message, the only one that may be retried. */
export function latestTurn(state: ConversationState): TurnState | undefined {
  const last = state.messages.findLast((message) => message.role === "customer");
  return state.turns.findLast((turn) => turn.message === (last?.id ?? null));
}

/** The hole in what has been received, if there is one. */
export function gapOf(state: ConversationState): Gap | null {
  const resume = resumeFrom(state);
  if (resume === undefined) return null;
  if (state.stale) return { key: "stale", resume: { conversation: resume.conversation } };
  for (const [index, message] of state.messages.entries()) {
    const before = state.messages[index - 1];
    if (before && message.seq > before.seq + 1) {
      return { key: `after ${before.seq}`, resume: { ...resume, after_seq: before.seq } };
    }
  }
  const turn = openTurn(state);
  if (turn && Object.keys(turn.draft.ahead).length > 0) {
    return { key: `delta ${turn.id} ${turn.draft.attempt} ${turn.draft.k}`, resume };
  }
  return null;
}

/**
 * What `hello` says on a new connection. It asks again from the last question on, and from any older one that still
 * waits, because the state of their turns may have changed meanwhile.
 */
export function resumeFrom(state: ConversationState): Resume | undefined {
  if (state.id === null) return undefined;
  const unsettled = state.messages.find((message) => {
    const turn = state.turns.findLast((candidate) => candidate.message === message.id);
    return turn !== undefined && !isOver(turn);
  });
  const lastQuestion = state.messages.findLast((message) => message.role === "customer");
  const newest = state.messages.at(-1);
  const known = Math.min(
    (unsettled?.seq ?? Infinity) - 1,
    (lastQuestion?.seq ?? Infinity) - 1,
    newest?.seq ?? Infinity,
  );
  const turn = openTurn(state);
  return {
    conversation: state.id,
    ...(Number.isFinite(known) && known > 0 ? { after_seq: known } : {}),
    ...(turn && turn.draft.attempt > 0
      ? { turn: turn.id, attempt: turn.draft.attempt, k: turn.draft.k }
      : {}),
  };
}

function applySnapshot(previous: ConversationState, frame: Frame<"ready">): ConversationState {
  const state =
    frame.conversation === previous.id ? previous : { ...emptyConversation, id: frame.conversation };

  const first = frame.messages[0];
  const oldest = state.messages[0];
  const newest = state.messages.at(-1);
  const reachesBack = oldest === undefined || (first !== undefined && first.seq <= oldest.seq);
  // More was missed than one snapshot holds: what lies between is fetched as earlier messages.
  const detached = first !== undefined && newest !== undefined && first.seq > newest.seq + 1;
  const messages = merge(detached ? [] : state.messages, frame.messages, "incoming wins");

  const declared = declaredTurns(frame.messages, state.turns);
  if (frame.turn) {
    const { id, message, status } = frame.turn;
    const known = declared.get(id) ?? state.turns.find((turn) => turn.id === id);
    if (!known || !isOver(known)) {
      declared.set(id, { id, message, status, draft: splice(known?.draft ?? emptyDraft, frame.turn) });
    }
  }
  const told = new Set(frame.messages.map((message) => message.id));
  const kept = state.turns.filter(
    (turn) =>
      !declared.has(turn.id) &&
      messages.some((message) => message.id === turn.message && !told.has(message.id)),
  );
  const turns = [...kept, ...declared.values()];
  const answered = messages.flatMap((message) => (message.turn ? [message.turn.id] : []));
  const retired = new Set([...state.retired, ...state.turns.map((turn) => turn.id), ...answered]);
  for (const turn of turns) retired.delete(turn.id);

  return {
    id: state.id,
    status: frame.status,
    queue: frame.queue,
    agent: frame.agent,
    survey: frame.survey,
    messages,
    hasEarlier: detached || (reachesBack ? frame.has_earlier : state.hasEarlier),
    turns,
    retired: [...retired],
    stale: false,
  };
}

/** The turns that customer messages name, in the order of the messages; one that has ended stays ended. */
function declaredTurns(messages: readonly Message[], known: readonly TurnState[]): Map<string, TurnState> {
  const declared = new Map<string, TurnState>();
  for (const message of messages) {
    if (message.role !== "customer" || !message.turn) continue;
    const { id, status = "queued", code, detail } = message.turn;
    const before = known.find((turn) => turn.id === id);
    if (before && isOver(before)) declared.set(id, { ...before, message: message.id });
    else {
      declared.set(id, {
        id,
        message: message.id,
        status,
        draft: before && !isOver({ status }) ? before.draft : emptyDraft,
        ...(code === undefined ? {} : { code }),
        ...(detail === undefined ? {} : { detail }),
      });
    }
  }
  return declared;
}

function addMessages(state: ConversationState, incoming: readonly Message[]): ConversationState {
  return { ...state, messages: merge(state.messages, incoming, "known wins") };
}

/** Messages are immutable but for their rating, which a snapshot knows better than an event sent twice. */
function merge(
  known: readonly Message[],
  incoming: readonly Message[],
  precedence: "incoming wins" | "known wins",
): readonly Message[] {
  const byId = new Map(known.map((message) => [message.id, message]));
  for (const message of incoming) {
    if (precedence === "incoming wins" || !byId.has(message.id)) byId.set(message.id, withoutTurn(message));
  }
  return [...byId.values()].sort((a, b) => a.seq - b.seq);
}

/** The turn of a customer message moves on, so it is kept in `turns` alone. */
function withoutTurn(message: Message): Message {
  if (message.role !== "customer") return message;
  const { turn: _turn, ...rest } = message;
  return rest;
}

function newTurn(state: ConversationState, id: string): TurnState {
  // Only a retry starts a turn that no message has announced, and only the last question can be retried.
  const question = state.messages.findLast((message) => message.role === "customer");
  return { id, message: question?.id ?? null, status: "queued", draft: emptyDraft };
}

function updateTurn(
  state: ConversationState,
  id: string,
  change: (turn: TurnState) => TurnState,
): ConversationState {
  if (state.retired.includes(id)) return state;
  const known = state.turns.find((turn) => turn.id === id);
  if (known === undefined) return { ...state, turns: [...state.turns, change(newTurn(state, id))] };
  const changed = change(known);
  return changed === known
    ? state
    : { ...state, turns: state.turns.map((turn) => (turn === known ? changed : turn)) };
}

function declareTurn(state: ConversationState, id: string | null, message: string): ConversationState {
  return id === null ? state : updateTurn(state, id, (turn) => ({ ...turn, message }));
}

function endTurn(
  state: ConversationState,
  id: string,
  end: Pick<TurnState, "status" | "code" | "detail">,
): ConversationState {
  return updateTurn(state, id, (turn) => (isOver(turn) ? turn : { ...turn, ...end, draft: emptyDraft }));
}

function atAttempt(draft: Draft, attempt: number): Draft {
  return attempt > draft.attempt ? { ...emptyDraft, attempt } : draft;
}

function addDelta(draft: Draft, { attempt, k, text }: Frame<"reply.delta">): Draft {
  if (attempt < draft.attempt) return draft;
  const current = atAttempt(draft, attempt);
  return drain({ ...current, ahead: { ...current.ahead, [k]: text } });
}

/** Moves deltas from `ahead` into the text for as long as there is no hole. */
function drain(draft: Draft): Draft {
  let { k, text } = draft;
  const marks: Record<number, number> = { ...draft.marks };
  for (let next = draft.ahead[k]; next !== undefined; next = draft.ahead[k]) {
    marks[k] = text.length;
    text += next;
    k += 1;
  }
  const ahead = Object.fromEntries(Object.entries(draft.ahead).filter(([key]) => Number(key) >= k));
  return { attempt: draft.attempt, k, text, marks, ahead };
}

/** The draft after a snapshot whose text covers deltas `from` … `k`-1. */
function splice(draft: Draft, open: NonNullable<Frame<"ready">["turn"]>): Draft {
  if (open.attempt < draft.attempt) return draft;
  const current = atAttempt(draft, open.attempt);
  if (open.k < current.k) return current;
  const start =
    open.from === current.k ? current.text.length : open.from === 0 ? 0 : current.marks[open.from];
  // The snapshot begins beyond what is shown: keep that, and let the next delta reveal the hole.
  if (start === undefined) return current;
  const text = current.text.slice(0, start) + open.text;
  return drain({ ...current, k: open.k, text, marks: { ...current.marks, [open.from]: start } });
}
