/** The inbox as the page shows it: joins the state, the connection and what the agent does. */
import type { Connect, Connection } from "../chat/connection";
import type { Storage } from "../shared/storage";
import { TYPING_EVERY, TYPING_LASTS } from "../shared/typing";
import type { Alerts } from "./alerts";
import * as desk from "./desk";
import { deskFrames, type AgentFrame, type DeskFrame, type Frame, type Row } from "./protocol";
import { strings } from "./strings";

/** What is being written to the customer, and what to colleagues: never one where the other belongs. */
export type Mode = "reply" | "note";
const DRAFT = { reply: "frontdesk.inbox.draft.", note: "frontdesk.inbox.note." };
/** A hole may close by itself while frames are still arriving. */
const HEAL_WITHIN = 250;

/** Something written that the server has not taken yet. */
export interface Pending {
  readonly clientId: string;
  readonly conversation: string;
  readonly text: string;
  readonly mode: Mode;
  readonly frame: AgentFrame;
}

export interface Surroundings {
  connect: Connect<DeskFrame, AgentFrame>;
  storage: Storage;
  alerts: Alerts;
  now: () => number;
  newId: () => string;
  isVisible: () => boolean;
  address: { read: () => string | null; write: (conversation: string | null) => void };
}

export class DeskSession {
  state = $state.raw(desk.emptyDesk);
  link = $state<"connecting" | "connected" | "reconnecting">("connecting");
  /** The conversation that is to be open; its thread may still be on its way. */
  wanted = $state<string | null>(null);
  draft = $state("");
  note = $state("");
  pending = $state.raw<readonly Pending[]>([]);
  notice = $state<string | null>(null);
  typing = $state<string | null>(null);
  /** Read out once by screen readers. */
  announcement = $state("");
  sound = $state(false);
  /** The draft of the bot that is being edited. */
  editing = $state<string | null>(null);

  readonly thread = $derived(this.state.thread?.conversation === this.wanted ? this.state.thread : null);
  readonly isMine = $derived(this.thread !== null && desk.isMine(this.state));
  readonly attention = $derived(desk.attention(this.state));

  #around: Surroundings;
  #connection: Connection<AgentFrame>;
  #typedAt = -Infinity;
  /** How far the open conversation was said to be read. */
  #seen = 0;
  #typingTimer: ReturnType<typeof setTimeout> | undefined;
  #healTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(around: Surroundings) {
    this.#around = around;
    this.sound = around.alerts.sound();
    this.wanted = around.address.read();
    this.#readDrafts();
    this.#connection = around.connect({
      opened: () => this.#connection.send(deskFrames.hello()),
      closed: () => {
        if (this.link === "connected") this.link = "reconnecting";
        this.#showTyping(null);
      },
      received: (frame) => this.#receive(frame),
      garbled: () => this.#connection.reconnect(),
    });
  }

  // What the agent does.

  open(conversation: string | null): void {
    if (conversation === this.wanted) return;
    this.wanted = conversation;
    this.editing = null;
    this.notice = null;
    this.#seen = 0;
    this.#showTyping(null);
    this.#readDrafts();
    this.#around.address.write(conversation);
    this.#connection.send(conversation === null ? deskFrames.leave() : deskFrames.open(conversation));
  }

  setDraft(text: string): void {
    this.draft = text;
    this.#keep("reply", this.wanted, text);
    if (text === "") this.editing = null;
  }

  setNote(text: string): void {
    this.note = text;
    this.#keep("note", this.wanted, text);
  }

  sayTyping(): void {
    const now = this.#around.now();
    if (!this.isMine || this.wanted === null || now - this.#typedAt < TYPING_EVERY) return;
    if (this.#connection.send(deskFrames.typing(this.wanted))) this.#typedAt = now;
  }

  take(over = false): void {
    this.#aboutThread(({ conversation, assignment }) => deskFrames.take(conversation, assignment, over));
  }

  release(): void {
    this.#aboutThread(({ conversation, assignment }) => deskFrames.release(conversation, assignment));
  }

  assign(to: number): void {
    this.#aboutThread(({ conversation, assignment }) => deskFrames.assign(conversation, assignment, to));
  }

  giveBack(): void {
    this.#aboutThread(({ conversation, assignment }) => deskFrames.giveBack(conversation, assignment));
  }

  close(): void {
    this.#aboutThread(({ conversation, assignment }) => deskFrames.close(conversation, assignment));
  }

  suggest(): void {
    this.#aboutThread(({ conversation }) => deskFrames.suggest(conversation));
  }

  /** Puts the bot's draft into the message box. */
  editSuggestion(): void {
    const suggestion = this.thread?.suggestion;
    if (suggestion?.status !== "done") return;
    this.setDraft(suggestion.text);
    this.editing = suggestion.id;
  }

  sendSuggestion(): void {
    const suggestion = this.thread?.suggestion;
    if (suggestion?.status === "done") this.#answer(suggestion.text, suggestion.id);
  }

  send(): void {
    const suggestion = this.thread?.suggestion;
    const edited =
      suggestion?.status === "done" && this.editing === suggestion.id ? suggestion.id : undefined;
    if (this.#answer(this.draft.trim(), edited)) this.setDraft("");
  }

  addNote(): void {
    const text = this.note.trim();
    const { thread } = this;
    if (text === "" || thread === null) return;
    const clientId = this.#around.newId();
    const frame = deskFrames.note(thread.conversation, clientId, text);
    if (this.#write({ clientId, conversation: thread.conversation, text, mode: "note", frame })) {
      this.setNote("");
    }
  }

  setSound(on: boolean): void {
    this.sound = on;
    this.#around.alerts.setSound(on);
  }

  /** The page came back into view: whatever was missed is asked for, and what is open counts as read. */
  wake(): void {
    this.#connection.send(deskFrames.ping());
    this.#markSeen();
  }

  dismissNotice(): void {
    this.notice = null;
  }

  stop(): void {
    clearTimeout(this.#typingTimer);
    clearTimeout(this.#healTimer);
    this.#connection.close();
  }

  // Writing.

  #answer(text: string, suggestion?: string): boolean {
    const { thread } = this;
    if (text === "" || thread === null) return false;
    const clientId = this.#around.newId();
    const frame = deskFrames.answer(thread.conversation, thread.assignment, clientId, text, suggestion);
    return this.#write({ clientId, conversation: thread.conversation, text, mode: "reply", frame });
  }

  #write(pending: Pending): boolean {
    if (this.link !== "connected" || !this.#connection.send(pending.frame)) {
      this.notice = strings.offline;
      return false;
    }
    this.pending = [...this.pending, pending];
    return true;
  }

  #aboutThread(frame: (thread: desk.Thread) => AgentFrame): void {
    if (this.thread === null) return;
    this.notice = null;
    if (this.link !== "connected" || !this.#connection.send(frame(this.thread)))
      this.notice = strings.offline;
  }

  // What arrives.

  #receive(frame: DeskFrame): void {
    const before = this.state;
    this.state = desk.apply(before, frame);
    switch (frame.type) {
      case "desk.ready":
        this.link = "connected";
        this.#resume();
        break;
      case "desk.row":
        this.#callFor(frame.row, before);
        break;
      case "thread.ready":
        for (const { client_id } of [...frame.messages, ...frame.notes]) this.#taken(client_id);
        this.#markSeen();
        break;
      case "thread.message":
        this.#taken(frame.message.client_id);
        if (frame.conversation === this.wanted && frame.message.role !== "system") this.#showTyping(null);
        this.#markSeen();
        break;
      case "note.added":
        this.#taken(frame.note.client_id);
        break;
      case "thread.updated":
        this.#markSeen();
        break;
      case "thread.gone":
        if (frame.conversation === this.wanted) this.#lost();
        break;
      case "customer.typing":
        if (frame.conversation === this.wanted) this.#showTyping(strings.customerTyping);
        break;
      case "agent.typing":
        if (frame.conversation === this.wanted) this.#showTyping(strings.agentTyping(frame.name));
        break;
      case "error":
        this.#refused(frame);
        break;
    }
    this.#heal();
  }

  /** After a reconnect: the open conversation from where the page is, and again what was not taken. */
  #resume(): void {
    if (this.wanted !== null) {
      const newest = this.thread?.messages.at(-1)?.seq ?? 0;
      this.#connection.send(deskFrames.open(this.wanted, newest));
    }
    for (const { frame } of this.pending) this.#connection.send(frame);
  }

  #taken(clientId: string | undefined): void {
    if (clientId === undefined || this.pending.every((each) => each.clientId !== clientId)) return;
    this.pending = this.pending.filter((each) => each.clientId !== clientId);
  }

  /** Nothing that was written is lost: it goes back into the message box, with the reason above it. */
  #refused(frame: Frame<"error">): void {
    const refused = this.pending.find(({ clientId }) => clientId === frame.client_id);
    this.notice = frame.detail;
    if (frame.code === "not_found" && refused === undefined && frame.conversation === this.wanted) {
      if (this.thread === null) this.#lost();
      return;
    }
    if (refused === undefined) return;
    this.pending = this.pending.filter((each) => each !== refused);
    const { conversation, mode, text } = refused;
    const beside = this.#kept(mode, conversation);
    this.#keep(mode, conversation, beside.trim() === "" ? text : `${text}\n${beside}`);
    if (conversation === this.wanted) this.#readDrafts();
  }

  #lost(): void {
    this.notice = strings.gone;
    this.wanted = null;
    this.#around.address.write(null);
  }

  #callFor(row: Row, before: desk.DeskState): void {
    const known = before.rows.find(({ conversation }) => conversation === row.conversation);
    const open = () => this.open(row.conversation);
    if (row.status === "waiting" && known?.status !== "waiting") {
      this.announcement = strings.arrived;
      this.#around.alerts.call(strings.someoneWaits(row.title), open);
    } else if (row.assignee?.id === this.state.me?.id && row.unread > (known?.unread ?? 0)) {
      if (row.conversation !== this.wanted || !this.#around.isVisible())
        this.#around.alerts.call(strings.wrote(row.customer, row.last?.text ?? ""), open);
    }
  }

  #markSeen(): void {
    const { thread } = this;
    const row = this.state.rows.find(({ conversation }) => conversation === thread?.conversation);
    const newest = thread?.messages.findLast(({ role }) => role === "customer");
    if (thread === null || newest === undefined || !this.isMine || !this.#around.isVisible()) return;
    if (row === undefined || row.unread > 0 || newest.seq > this.#seen) {
      this.#seen = newest.seq;
      this.#connection.send(deskFrames.seen(thread.conversation, newest.seq));
    }
  }

  #showTyping(words: string | null): void {
    clearTimeout(this.#typingTimer);
    this.typing = words;
    if (words !== null) this.#typingTimer = setTimeout(() => (this.typing = null), TYPING_LASTS);
  }

  #heal(): void {
    clearTimeout(this.#healTimer);
    const { thread } = this;
    const gap = thread && desk.gapOf(thread);
    if (thread === null || gap === null) return;
    this.#healTimer = setTimeout(
      () => this.#connection.send(deskFrames.open(thread.conversation, gap)),
      HEAL_WITHIN,
    );
  }

  #readDrafts(): void {
    this.draft = this.#kept("reply", this.wanted);
    this.note = this.#kept("note", this.wanted);
  }

  #kept(mode: Mode, conversation: string | null): string {
    return conversation === null ? "" : (this.#around.storage.get(DRAFT[mode] + conversation) ?? "");
  }

  #keep(mode: Mode, conversation: string | null, text: string): void {
    if (conversation === null) return;
    if (text === "") this.#around.storage.remove(DRAFT[mode] + conversation);
    else this.#around.storage.set(DRAFT[mode] + conversation, text);
  }
}
