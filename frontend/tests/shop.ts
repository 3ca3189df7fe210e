/** A server at the other end of the session: records what the page sends, and says what a test tells it to. */
import type { Api } from "../src/chat/api";
import type { Connect, Listener } from "../src/chat/connection";
import type { FileServer } from "../src/chat/files/fileServer";
import { ChatSession } from "../src/chat/session.svelte";
import {
  ProtocolError,
  type Attachment,
  type ClientFrame,
  type Frame,
  type Message,
  type ServerFrame,
} from "../src/shared/protocol";
import { openStorage } from "../src/shared/storage";

export const C1 = "00000000-0000-7000-8000-000000000001";
export const C2 = "00000000-0000-7000-8000-000000000002";

export class Shop {
  /** What the page has sent over connections that were open. */
  sent: ClientFrame[] = [];
  reconnects = 0;
  online = true;
  address: string | null = null;
  up = false;
  #listener: Listener | null = null;
  #ids = 0;

  api: Api = {
    chat: () =>
      Promise.resolve({
        name: "Shop",
        greeting: "Hello!",
        starters: ["Where is it?"],
        protocol: 1,
        training: "shop",
        agreed: null,
        attachments: { max_mib: 5, per_message: 2 },
      }),
    conversations: () => Promise.resolve([]),
    earlier: () => Promise.resolve({ messages: [], has_earlier: false }),
    consent: () => Promise.resolve(),
    renew: () => Promise.resolve(),
  };

  /** Uploads that wait for a test to say what comes of them. */
  uploads: { conversation: string; file: File; progress: (share: number) => void; aborted: boolean }[] = [];
  settle: ((outcome: Attachment | Error) => void)[] = [];
  discarded: string[] = [];

  files: FileServer = {
    upload: (conversation, file, progress) => {
      const upload = { conversation, file, progress, aborted: false };
      this.uploads.push(upload);
      const done = new Promise<Attachment>((resolve, reject) => {
        this.settle.push((outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome)));
      });
      return {
        done,
        abort: () => {
          upload.aborted = true;
        },
      };
    },
    discard: (id) => this.discarded.push(id),
    fetch: null,
  };

  connect: Connect = (listener) => {
    this.#listener = listener;
    return {
      send: (frame) => {
        if (this.up) this.sent.push(frame);
        return this.up;
      },
      reconnect: () => {
        this.reconnects += 1;
      },
      close: () => {
        this.up = false;
      },
    };
  };

  /** A page that has just been opened; it keeps what an earlier one left in storage. */
  page(): ChatSession {
    return new ChatSession({
      api: this.api,
      files: this.files,
      connect: this.connect,
      storage: openStorage(),
      now: () => Date.now(),
      newId: () => `id-${(this.#ids += 1)}`,
      isOnline: () => this.online,
      address: {
        read: () => this.address,
        write: (conversation) => {
          this.address = conversation;
        },
      },
    });
  }

  open(): void {
    this.up = true;
    this.#listener?.opened();
  }

  lose(failures = 1): void {
    this.up = false;
    this.#listener?.closed(failures);
  }

  say(frame: ServerFrame): void {
    this.#listener?.received(frame);
  }

  garble(): void {
    this.#listener?.garbled(new ProtocolError("?"));
  }

  ready(more: Partial<Frame<"ready">> = {}): void {
    this.say({
      type: "ready",
      protocol: 1,
      conversation: C1,
      status: "bot",
      messages: [],
      seq: 0,
      has_earlier: false,
      ...more,
    });
  }

  accept(clientId: string, seq: number, text: string, turn: string | null = `turn-${seq}`): void {
    const message: Message = {
      ...said(seq, "customer", text),
      client_id: clientId,
      ...(turn === null ? {} : { turn: { id: turn, status: "queued" } }),
    };
    this.say({ type: "message.accepted", client_id: clientId, message, turn });
  }

  sentOf<T extends ClientFrame["type"]>(type: T): Extract<ClientFrame, { type: T }>[] {
    return this.sent.filter((frame): frame is Extract<ClientFrame, { type: T }> => frame.type === type);
  }
}

export function said(seq: number, role: Message["role"], text: string, more: Partial<Message> = {}): Message {
  return { id: `m${seq}`, seq, role, text, created_at: "2026-11-24T09:00:00Z", ...more };
}
