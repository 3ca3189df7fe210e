/**
 * What an agent's inbox shows, as a pure function of the frames received.
 *
 * Frames may arrive twice: rows are whole, messages and notes are merged by id. `desk.ready` and `thread.ready` are
 * snapshots; a `thread.ready` that goes on where the page was adds to it. What is missing is reported by `gapOf`.
 */
import type { Message } from "../shared/protocol";
import type {
  Agent,
  CannedReply,
  DeskFrame,
  Frame,
  Note,
  PresentAgent,
  Row,
  Suggestion,
  Survey,
} from "./protocol";

export interface Thread {
  readonly conversation: string;
  readonly customer: string;
  readonly status: Row["status"];
  readonly assignment: number;
  readonly assignee: Agent | null;
  readonly email?: string | undefined;
  /** What the customer made of it, once it has ended. */
  readonly survey?: Survey | undefined;
  /** In order of `seq`, each id once. */
  readonly messages: readonly Message[];
  readonly hasEarlier: boolean;
  /** In the order in which they were written. */
  readonly notes: readonly Note[];
  readonly suggestion: Suggestion | null;
}

export interface DeskState {
  readonly me: Agent | null;
  readonly agents: readonly PresentAgent[];
  readonly rows: readonly Row[];
  readonly canned: readonly CannedReply[];
  readonly thread: Thread | null;
}

export const emptyDesk: DeskState = { me: null, agents: [], rows: [], canned: [], thread: null };

export function apply(state: DeskState, frame: DeskFrame): DeskState {
  switch (frame.type) {
    case "desk.ready":
      return {
        ...state,
        me: frame.me,
        agents: frame.agents,
        rows: [...frame.rows].sort(byWaiting),
        canned: frame.canned,
      };
    case "desk.row":
      return { ...state, rows: withRow(state.rows, frame.row) };
    case "desk.gone":
      return { ...state, rows: state.rows.filter((row) => row.conversation !== frame.conversation) };
    case "desk.agents":
      return { ...state, agents: frame.agents };
    case "thread.ready":
      return { ...state, thread: readThread(state.thread, frame) };
    case "thread.gone":
      return state.thread?.conversation === frame.conversation ? { ...state, thread: null } : state;
    case "thread.updated":
      return inThread(state, frame.conversation, (thread) => ({
        ...thread,
        status: frame.status,
        assignment: frame.assignment,
        assignee: frame.assignee,
        email: frame.email,
        survey: frame.survey,
      }));
    case "thread.message":
      return inThread(state, frame.conversation, (thread) => ({
        ...thread,
        messages: merge(thread.messages, [frame.message]),
        // A draft answers one message; after another it would answer the wrong one.
        suggestion: frame.message.role === "customer" ? null : thread.suggestion,
      }));
    case "note.added":
      return inThread(state, frame.conversation, (thread) => ({
        ...thread,
        notes: mergeNotes(thread.notes, [frame.note]),
      }));
    case "suggestion.updated":
      return inThread(state, frame.conversation, (thread) => ({
        ...thread,
        suggestion: isForLatest(thread, frame.suggestion) ? frame.suggestion : thread.suggestion,
      }));
    case "customer.typing":
    case "agent.typing":
    case "error":
    case "pong":
      return state;
  }
}

/** Those who wait, the longest first. */
export function waiting(state: DeskState): readonly Row[] {
  return state.rows.filter((row) => row.status === "waiting");
}

/** Those that this agent has. */
export function mine(state: DeskState): readonly Row[] {
  return state.rows.filter((row) => row.status === "human" && row.assignee?.id === state.me?.id);
}

/** Those that colleagues have. */
export function others(state: DeskState): readonly Row[] {
  return state.rows.filter((row) => row.status === "human" && row.assignee?.id !== state.me?.id);
}

/** How much wants this agent's attention: who waits, and what was written to them. */
export function attention(state: DeskState): number {
  return waiting(state).length + mine(state).reduce((sum, row) => sum + row.unread, 0);
}

/** Whether the conversation that is open is in this agent's hands. */
export function isMine(state: DeskState): boolean {
  const { thread, me } = state;
  return thread !== null && me !== null && thread.status === "human" && thread.assignee?.id === me.id;
}

/** The `seq` after which something of the open conversation is missing. */
export function gapOf(thread: Thread): number | null {
  for (const [index, message] of thread.messages.entries()) {
    const before = thread.messages[index - 1];
    if (before && message.seq > before.seq + 1) return before.seq;
  }
  return null;
}

/** The canned replies that the words after “/” may mean; those whose shortcut begins so come first. */
export function matching(canned: readonly CannedReply[], words: string): readonly CannedReply[] {
  const wanted = words.trim().toLowerCase();
  const begins = canned.filter(({ shortcut }) => shortcut.startsWith(wanted));
  const rest = canned.filter(
    (reply) =>
      !begins.includes(reply) &&
      `${reply.shortcut} ${reply.title} ${reply.text}`.toLowerCase().includes(wanted),
  );
  return [...begins, ...rest];
}

function withRow(rows: readonly Row[], row: Row): readonly Row[] {
  return [...rows.filter(({ conversation }) => conversation !== row.conversation), row].sort(byWaiting);
}

function byWaiting(a: Row, b: Row): number {
  return a.waiting_since.localeCompare(b.waiting_since) || a.conversation.localeCompare(b.conversation);
}

function inThread(state: DeskState, conversation: string, change: (thread: Thread) => Thread): DeskState {
  const { thread } = state;
  return thread?.conversation === conversation ? { ...state, thread: change(thread) } : state;
}

function readThread(previous: Thread | null, frame: Frame<"thread.ready">): Thread {
  const known = previous?.conversation === frame.conversation ? previous : null;
  const first = frame.messages[0];
  const newest = known?.messages.at(-1);
  // More was missed than one snapshot holds: what lies before it is in the transcript.
  const detached = first !== undefined && newest !== undefined && first.seq > newest.seq + 1;
  const kept = detached ? [] : (known?.messages ?? []);
  const oldest = kept[0];
  const reachesBack = oldest === undefined || (first !== undefined && first.seq <= oldest.seq);
  return {
    conversation: frame.conversation,
    customer: frame.customer,
    status: frame.status,
    assignment: frame.assignment,
    assignee: frame.assignee,
    email: frame.email,
    survey: frame.survey,
    messages: merge(kept, frame.messages),
    hasEarlier: reachesBack ? frame.has_earlier : (known?.hasEarlier ?? false),
    notes: frame.notes,
    suggestion: frame.suggestion,
  };
}

function isForLatest(thread: Thread, suggestion: Suggestion): boolean {
  return thread.messages.findLast(({ role }) => role === "customer")?.id === suggestion.message;
}

/** By id; what an agent's own page learnt of a message, its `client_id`, stays. */
function merge(known: readonly Message[], incoming: readonly Message[]): readonly Message[] {
  const byId = new Map(known.map((message) => [message.id, message]));
  for (const message of incoming) byId.set(message.id, { ...byId.get(message.id), ...message });
  return [...byId.values()].sort((a, b) => a.seq - b.seq);
}

function mergeNotes(known: readonly Note[], incoming: readonly Note[]): readonly Note[] {
  const fresh = incoming.filter(({ id }) => known.every((note) => note.id !== id));
  return fresh.length === 0 ? known : [...known, ...fresh];
}
