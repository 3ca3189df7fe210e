/**
 * The chat as the page shows it: joins the conversation, the delivery of texts and the connection, and reacts to the visitor.
 *
 * What the frames mean is decided in `conversation.ts`, what is sent when in `outbox.ts` and
 * `delivery.svelte.ts`; here are only effects.
 */
import {
  clientFrames,
  PROTOCOL,
  type Attachment,
  type ChatInfo,
  type ClientFrame,
  type ConversationSummary,
  type Frame,
  type Message,
  type Rating,
  type ServerFrame,
} from "../shared/protocol";
import { TYPING_EVERY, TYPING_LASTS } from "../shared/typing";
import { announcement } from "./announcements";
import type { Connection } from "./connection";
import * as thread from "./conversation";
import { Delivery } from "./delivery.svelte";
import * as drafts from "./drafts";
import type { FileServer } from "./files/fileServer";
import { Tray } from "./files/tray.svelte";
import type { Outbox } from "./outbox";
import { strings } from "./strings";
import type { Surroundings } from "./surroundings";

export type Link = "connecting" | "connected" | "reconnecting" | "offline";

export interface Notice {
  readonly text: string;
  readonly reload?: boolean;
}

/** Failed connections after which the page stops calling it a hiccup. */
const HICCUPS = 3;

/** A hole may close by itself while frames are still arriving. */
const HEAL_WITHIN = 250;

const HELLO_RETRY = 2_000;

/** Typing is told this often, and forgotten this long after it was last told. */

export class ChatSession {
  thread = $state.raw(thread.emptyConversation);
  link = $state<Link>("connecting");
  info = $state.raw<ChatInfo | null>(null);
  conversations = $state.raw<readonly ConversationSummary[]>([]);
  draft = $state("");
  notice = $state.raw<Notice | null>(null);
  /** Read out once by screen readers. */
  announcement = $state("");
  /** A conversation was asked for and is not here yet. */
  opening = $state(true);
  loadingEarlier = $state(false);
  /** Turns that the visitor has asked to stop, or to answer again, without an answer to that so far. */
  cancelling = $state<string | null>(null);
  retrying = $state<string | null>(null);
  /** In words, while somebody of the team is writing. */
  typing = $state<string | null>(null);

  /** Told of each reply once it is whole. */
  onreply: ((role: "bot" | "agent", text: string) => void) | null = null;

  readonly delivery: Delivery;
  /** Files that go along with what is being written. */
  readonly tray: Tray;
  readonly openTurn = $derived(thread.openTurn(this.thread));
  readonly latestTurn = $derived(thread.latestTurn(this.thread));
  readonly answering = $derived(this.openTurn !== undefined || this.retrying !== null);

  #connection: Connection;
  #around: Surroundings;
  // eslint-disable-next-line svelte/prefer-svelte-reactivity -- nothing is drawn from it
  #ratings = new Map<string, { rating: Rating | null; reason?: string }>();
  #typingTimer: ReturnType<typeof setTimeout> | undefined;
  #typedAt = -Infinity;
  #healTimer: ReturnType<typeof setTimeout> | undefined;
  #helloTimer: ReturnType<typeof setTimeout> | undefined;
  #askedFor: string | null = null;
  #wanted: string | null;

  constructor(around: Surroundings) {
    this.#around = around;
    this.#wanted = around.address.read();
    this.delivery = new Delivery({
      storage: around.storage,
      now: around.now,
      newId: around.newId,
      destination: () => (this.link === "connected" && !this.opening ? this.thread.id : null),
      send: (frame) => this.#connection.send(frame),
    });
    this.tray = new Tray(around.files, around.storage, around.newId, around.now);
    this.draft = drafts.readDraft(around.storage, this.#wanted);
    if (!around.isOnline()) this.link = "offline";
    this.#connection = around.connect({
      opened: () => this.#sayHello(),
      closed: (failures) => this.#lost(failures),
      received: (frame) => this.#receive(frame),
      garbled: () => this.#receive({ type: "resync" }),
    });
    void this.#loadInfo();
    void this.refreshConversations();
  }

  /** Texts of this conversation that the server has not taken yet. */
  get unsent(): Outbox {
    const { id } = this.thread;
    return this.delivery.outbox.filter(({ conversation }) => conversation === id || conversation === null);
  }

  /** How files are fetched where their address alone does not open them. */
  get fetchFile(): FileServer["fetch"] {
    return this.#around.files.fetch;
  }

  // What the visitor does.

  send(text: string, attachments: readonly Attachment[] = []): void {
    const trimmed = text.trim();
    if (trimmed !== "" || attachments.length > 0) this.delivery.add(trimmed, this.thread.id, attachments);
  }

  attach(files: readonly File[]): void {
    const rules = this.info?.attachments;
    if (files.length === 0 || !rules || this.thread.status === "closed") return;
    // Files belong to a conversation, of which only the server can say which it is.
    if (this.thread.id === null) this.notice = { text: strings.willNeedConnection };
    else this.tray.add(this.thread.id, files, rules);
  }

  setDraft(text: string): void {
    this.draft = text;
    if (text !== "") this.#sayTyping();
    drafts.writeDraft(this.#around.storage, this.thread.id ?? this.#wanted, text);
  }

  /** Puts an unsent text back into the message box. */
  edit(clientId: string): void {
    const entry = this.delivery.discard(clientId);
    if (entry === null) return;
    if (entry.text !== "")
      this.setDraft(this.draft.trim() === "" ? entry.text : `${entry.text}\n${this.draft}`);
    if (this.thread.id !== null) this.tray.restore(this.thread.id, entry.attachments ?? []);
  }

  stop(): void {
    const turn = this.openTurn;
    if (turn === undefined) return;
    this.cancelling = turn.id;
    this.#command(clientFrames.cancel(turn.id));
  }

  retry(): void {
    const turn = this.latestTurn;
    if (turn === undefined || !thread.isOver(turn) || this.answering) return;
    if (!this.#command(clientFrames.retry(turn.id))) return;
    this.retrying = turn.id;
    clearTimeout(this.#helloTimer);
    // No frame says that the new turn is queued; where no worker takes it soon, the snapshot does.
    this.#helloTimer = setTimeout(() => {
      if (this.retrying === turn.id) this.#sayHello();
    }, HELLO_RETRY);
  }

  rate(message: string, rating: Rating | null, reason?: string): void {
    this.thread = thread.rate(this.thread, message, rating);
    this.#ratings.set(message, { rating, ...(reason ? { reason } : {}) });
    this.#connection.send(clientFrames.rate(message, rating, reason));
  }

  handOff(): void {
    this.#command(clientFrames.handoff());
  }

  returnToAssistant(): void {
    this.#command(clientFrames.return());
  }

  endConversation(): void {
    this.#command(clientFrames.end());
  }

  rateConversation(score: number, comment: string): boolean {
    return this.#command(clientFrames.rateConversation(score, comment));
  }

  leaveEmail(email: string): void {
    this.#command(clientFrames.email(email));
  }

  startConversation(): void {
    if (!this.#command(clientFrames.newConversation())) return;
    this.#wanted = null;
    this.opening = true;
  }

  openConversation(id: string): void {
    if (id === this.thread.id && !this.opening) return;
    this.#show(id);
    this.#connection.send(clientFrames.hello({ conversation: id }));
  }

  async loadEarlier(): Promise<void> {
    const { id, hasEarlier, messages } = this.thread;
    const oldest = messages[0];
    if (id === null || !hasEarlier || oldest === undefined || this.loadingEarlier) return;
    this.loadingEarlier = true;
    try {
      const earlier = await this.#around.api.earlier(id, oldest.seq);
      if (this.thread.id === id) this.thread = thread.prependEarlier(this.thread, earlier);
    } catch {
      this.notice = { text: strings.earlierFailed };
    } finally {
      this.loadingEarlier = false;
    }
  }

  async refreshConversations(): Promise<void> {
    try {
      this.conversations = await this.#around.api.conversations();
    } catch {
      // The list is a convenience: the last one stays, and the next event asks again.
    }
  }

  /** The page came back into view or the network returned: what happened meanwhile is asked for. */
  wake(): void {
    if (!this.#around.isOnline()) return this.#setOffline();
    if (this.link === "connected") {
      this.#sayHello();
      this.#connection.send(clientFrames.ping());
    } else this.reconnect();
  }

  reconnect(): void {
    this.#connection.reconnect();
    this.link = "reconnecting";
    if (this.info === null) void this.#loadInfo();
  }

  networkLost(): void {
    this.#setOffline();
  }

  /** The visitor's word on whether what they say may be trained on; it can be given again. */
  async answerConsent(agreed: boolean): Promise<void> {
    try {
      await this.#around.api.consent(agreed);
      if (this.info !== null) this.info = { ...this.info, agreed };
    } catch {
      this.notice = { text: strings.tryLater };
    }
  }

  dismissNotice(): void {
    this.notice = null;
  }

  close(): void {
    clearTimeout(this.#healTimer);
    clearTimeout(this.#helloTimer);
    clearTimeout(this.#typingTimer);
    this.delivery.close();
    this.#connection.close();
  }

  // What the connection does.

  #sayHello(): void {
    clearTimeout(this.#helloTimer);
    const resume = thread.gapOf(this.thread)?.resume ?? thread.resumeFrom(this.thread);
    this.#connection.send(
      clientFrames.hello(resume ?? (this.#wanted === null ? undefined : { conversation: this.#wanted })),
    );
  }

  #lost(failures: number): void {
    this.delivery.interrupted();
    this.#askedFor = null;
    this.retrying = null;
    if (!this.#around.isOnline() || failures > HICCUPS) this.#setOffline();
    else if (this.link === "connected") this.link = "reconnecting";
  }

  #setOffline(): void {
    this.link = "offline";
  }

  #receive(frame: ServerFrame): void {
    const before = this.thread;
    if (!this.#isElsewhere(frame)) {
      this.thread = thread.apply(before, frame);
      this.announcement = announcement(frame, before) ?? this.announcement;
    }
    switch (frame.type) {
      case "ready":
        if (frame.conversation === this.thread.id) this.#opened(frame, before.id);
        break;
      case "message.posted":
        this.#showTyping(null);
        this.#tellReply(frame.message);
        break;
      case "message.accepted":
        this.delivery.accepted(frame.client_id);
        void this.refreshConversations();
        break;
      case "agent.typing":
        this.#showTyping(strings.isTyping(frame.name));
        break;
      case "message.rated":
        this.#ratings.delete(frame.message);
        break;
      case "reply.finished":
        this.#tellReply(frame.message);
        void this.refreshConversations();
        break;
      case "conversation.updated":
        if (frame.status !== "human") this.#showTyping(null);
        void this.refreshConversations();
        break;
      case "error":
        this.#refused(frame);
        break;
    }
    if (this.retrying !== null && this.latestTurn?.id !== this.retrying) this.retrying = null;
    if (this.cancelling !== null && this.openTurn?.id !== this.cancelling) this.cancelling = null;
    this.#heal();
  }

  #tellReply({ role, text }: Message): void {
    if (role === "bot" || role === "agent") this.onreply?.(role, text);
  }

  /** Between asking for another conversation and its `ready`, frames still belong to the one that was left. */
  #isElsewhere(frame: ServerFrame): boolean {
    if (!this.opening) return false;
    if (frame.type !== "ready") return true;
    return this.#wanted !== null && this.#wanted === this.thread.id && frame.conversation !== this.#wanted;
  }

  #opened(frame: Frame<"ready">, previous: string | null): void {
    if (frame.protocol !== PROTOCOL) this.notice = { text: strings.outdated, reload: true };
    const switched = this.opening;
    this.link = "connected";
    this.opening = false;
    this.retrying = null;
    this.#askedFor = null;
    this.#around.address.write(frame.conversation);
    if (switched) this.#takeDraft(frame.conversation, previous);
    this.#wanted = frame.conversation;
    this.tray.open(frame.conversation);

    this.delivery.opened(
      frame.conversation,
      this.thread.messages.map(({ client_id }) => client_id),
    );
    for (const [message, { rating, reason }] of this.#ratings) {
      if (!this.thread.messages.some(({ id }) => id === message)) continue;
      this.thread = thread.rate(this.thread, message, rating);
      this.#connection.send(clientFrames.rate(message, rating, reason));
    }
    if (this.cancelling !== null && this.openTurn?.id === this.cancelling) {
      this.#connection.send(clientFrames.cancel(this.cancelling));
    }
    void this.refreshConversations();
  }

  /** Shows the draft of the conversation; what was typed before it had a name moves along. */
  #takeDraft(conversation: string, previous: string | null): void {
    const { storage } = this.#around;
    const kept = drafts.readDraft(storage, conversation);
    if (previous !== null) {
      if (previous !== conversation) this.draft = kept;
      return;
    }
    drafts.writeDraft(storage, this.#wanted, "");
    this.draft ||= kept;
    drafts.writeDraft(storage, conversation, this.draft);
  }

  /** The conversation is gone, as one is that nobody wrote in for a day. What was to be said goes to the next. */
  #startOver(): void {
    const gone = this.thread.id ?? this.#wanted;
    if (gone !== null) this.delivery.orphaned(gone);
    if (this.opening || this.thread.messages.length > 0) this.notice = { text: strings.notFound };
    this.#wanted = null;
    this.thread = thread.emptyConversation;
    this.opening = true;
    this.#sayHello();
  }

  #refused(frame: Frame<"error">): void {
    const { client_id, code, detail } = frame;
    if (client_id && code === "not_found") {
      this.#startOver();
      return;
    }
    if (client_id) {
      this.delivery.refused(client_id, { code, detail, retry_after: frame.retry_after ?? null });
      return;
    }
    this.retrying = null;
    this.cancelling = null;
    switch (code) {
      case "not_found":
        // The answer to a hello; with a conversation open it speaks of a turn or a message.
        if (!this.opening && this.link === "connected") break;
        this.#startOver();
        return;
      case "protocol":
        this.notice = { text: strings.outdated, reload: true };
        return;
      case "hello_required":
        this.#sayHello();
        return;
      case "conflict":
        // What the visitor saw was not the latest state any more.
        this.#sayHello();
        return;
      case "rate_limited":
      case "busy":
      case "unavailable":
        if (!this.opening && this.link === "connected") break;
        this.notice = { text: strings.tryLater };
        clearTimeout(this.#helloTimer);
        this.#helloTimer = setTimeout(
          () => this.#sayHello(),
          Math.max(HELLO_RETRY, (frame.retry_after ?? 0) * 1_000),
        );
        return;
    }
    this.opening = false;
    this.notice = { text: detail };
  }

  // Effects.

  /** Whoever waits for words likes to know that they are being written. */
  #sayTyping(): void {
    const { status } = this.thread;
    const now = this.#around.now();
    if ((status !== "waiting" && status !== "human") || now - this.#typedAt < TYPING_EVERY) return;
    if (this.link === "connected" && this.#connection.send(clientFrames.typing())) this.#typedAt = now;
  }

  #showTyping(words: string | null): void {
    clearTimeout(this.#typingTimer);
    this.typing = words;
    if (words !== null) this.#typingTimer = setTimeout(() => (this.typing = null), TYPING_LASTS);
  }

  /** Sends, or says that nothing can be done without a connection. */
  #command(frame: ClientFrame): boolean {
    if (this.link === "connected" && this.#connection.send(frame)) return true;
    this.notice = { text: strings.willNeedConnection };
    return false;
  }

  #show(id: string): void {
    this.#wanted = id;
    this.thread = { ...thread.emptyConversation, id };
    this.opening = true;
    this.#showTyping(null);
    this.cancelling = null;
    this.retrying = null;
    this.notice = null;
    this.draft = drafts.readDraft(this.#around.storage, id);
    this.#around.address.write(id);
  }

  /** Asks once for each hole; where the answer does not fill it, asking again would not either. */
  #heal(): void {
    clearTimeout(this.#healTimer);
    const gap = thread.gapOf(this.thread);
    if (gap === null) {
      this.#askedFor = null;
      return;
    }
    if (gap.key === this.#askedFor) return;
    this.#healTimer = setTimeout(
      () => {
        this.#askedFor = gap.key;
        this.#connection.send(clientFrames.hello(gap.resume));
      },
      gap.key === "stale" ? 0 : HEAL_WITHIN,
    );
  }

  async #loadInfo(): Promise<void> {
    try {
      this.info = await this.#around.api.chat();
    } catch {
      // Without it the page has no greeting and no starters, and works all the same.
    }
  }
}
