/** Carries the texts of the outbox to the server: keeps them in storage, sends them in order, and sends them again. */
import { clientFrames, type Attachment, type ClientFrame } from "../shared/protocol";
import type { Storage } from "../shared/storage";
import * as outbox from "./outbox";

/** A text that is neither accepted nor refused for this long is sent again. */
const ACCEPT_WITHIN = 10_000;

export interface Route {
  storage: Storage;
  now(): number;
  newId(): string;
  /** The conversation that texts can be sent to right now, if there is one. */
  destination(): string | null;
  send(frame: ClientFrame): boolean;
}

export class Delivery {
  outbox = $state.raw<outbox.Outbox>([]);

  #route: Route;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(route: Route) {
    this.#route = route;
    this.outbox = outbox.load(route.storage);
  }

  /** Takes a text on; it is kept until the server has accepted it or the visitor has discarded it. */
  add(text: string, conversation: string | null, attachments: readonly Attachment[] = []): void {
    this.#keep(outbox.add(this.outbox, this.#route.newId(), conversation, text, attachments));
    this.flush();
  }

  /** The visitor wants a failed text sent again. */
  retry(clientId: string): void {
    this.#keep(outbox.retry(this.outbox, clientId));
    this.flush();
  }

  /** Gives a text up, and returns it with its files. */
  discard(clientId: string): outbox.Unsent | null {
    const entry = this.outbox.find((candidate) => candidate.clientId === clientId);
    this.#keep(outbox.remove(this.outbox, clientId));
    return entry ?? null;
  }

  accepted(clientId: string): void {
    this.#keep(outbox.remove(this.outbox, clientId));
    this.flush();
  }

  refused(clientId: string, refusal: outbox.Refusal): void {
    this.#keep(outbox.refuse(this.outbox, clientId, refusal, this.#route.now()));
    this.flush();
  }

  /** A conversation is here, and with it the texts that had arrived before the last connection was lost. */
  opened(conversation: string, received: readonly (string | undefined)[]): void {
    const left = this.outbox.filter((entry) => !received.includes(entry.clientId));
    this.#keep(outbox.adopt(left, conversation));
    this.flush();
  }

  /** The conversation does not exist any more: its texts go to the one that is opened next. */
  orphaned(conversation: string): void {
    clearTimeout(this.#timer);
    this.#keep(outbox.orphan(this.outbox, conversation));
  }

  /** The connection is gone: what was on its way goes out again on the next one. */
  interrupted(): void {
    clearTimeout(this.#timer);
    this.#keep(outbox.requeue(this.outbox));
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  flush(): void {
    clearTimeout(this.#timer);
    const conversation = this.#route.destination();
    if (conversation === null) return;
    const step = outbox.next(this.outbox, conversation, this.#route.now());
    if (step === null) return;
    if ("wait" in step) {
      this.#timer = setTimeout(() => this.flush(), step.wait);
      return;
    }
    const { clientId, text, attachments = [] } = step.send;
    const files = attachments.map(({ id }) => id);
    if (!this.#route.send(clientFrames.send(clientId, text, files))) return;
    this.#keep(outbox.markSending(this.outbox, clientId));
    this.#timer = setTimeout(() => {
      this.#keep(outbox.requeue(this.outbox));
      // Finds out whether there still is a server at the other end.
      this.#route.send(clientFrames.ping());
      this.flush();
    }, ACCEPT_WITHIN);
  }

  #keep(next: outbox.Outbox): void {
    outbox.save(this.#route.storage, this.outbox, next, this.#route.now());
    this.outbox = next;
  }
}
