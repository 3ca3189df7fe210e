/**
 * The files that a customer is about to send: uploaded while the message is being written, kept until it is sent.
 *
 * Each belongs to the conversation that it was added in. What is uploaded survives a reload; the server forgets it after
 * a day, and so does the page.
 */
import { fileSize } from "../../shared/fileSize";
import { attachment as attachmentShape, type Attachment } from "../../shared/protocol";
import type { Storage } from "../../shared/storage";
import { active } from "../languages/active.svelte";
import { strings } from "../strings";
import { UploadRefused, type FileServer, type Upload } from "./fileServer";

/** A little less than the server's day. */
const KEPT_FOR = 23 * 3_600_000;
const PREFIX = "frontdesk.files.";
/** Reasons that pass by themselves. */
const PASSING = new Set(["rate_limited", "busy", ""]);

export interface Item {
  readonly key: string;
  readonly conversation: string;
  readonly name: string;
  readonly size: number;
  /** What it looks like, where it is a picture that this page was given. */
  readonly picture: string | null;
  readonly state: "uploading" | "ready" | "failed";
  readonly share: number;
  readonly error: string;
  /** The same file may be taken at another time. */
  readonly retryable: boolean;
  readonly attachment: Attachment | null;
}

export interface FileRules {
  readonly max_mib: number;
  readonly per_message: number;
}

export class Tray {
  items = $state.raw<readonly Item[]>([]);

  // eslint-disable-next-line svelte/prefer-svelte-reactivity -- nothing is drawn from it
  readonly #uploads = new Map<string, { file: File; upload: Upload | null }>();
  // eslint-disable-next-line svelte/prefer-svelte-reactivity -- nothing is drawn from it
  readonly #opened = new Set<string>();

  constructor(
    private readonly server: FileServer,
    private readonly storage: Storage,
    private readonly newId: () => string,
    private readonly now: () => number,
  ) {}

  in(conversation: string | null): readonly Item[] {
    return this.items.filter((item) => item.conversation === conversation);
  }

  /** Brings back what an earlier page has uploaded for this conversation and not sent. */
  open(conversation: string): void {
    if (this.#opened.has(conversation)) return;
    this.#opened.add(conversation);
    this.restore(conversation, this.#stored(conversation));
  }

  /** Puts uploads back, as those of a message that is edited before it was sent. */
  restore(conversation: string, attachments: readonly Attachment[]): void {
    const back = attachments.filter(({ id }) => !this.items.some(({ attachment }) => attachment?.id === id));
    this.items = [...this.items, ...back.map((each) => this.#ready(conversation, each))];
    this.#store(conversation);
  }

  add(conversation: string, files: readonly File[], rules: FileRules): void {
    for (const file of files) {
      const key = this.newId();
      const item: Item = {
        key,
        conversation,
        name: file.name || strings.files.unnamed,
        size: file.size,
        picture: file.type.startsWith("image/") ? URL.createObjectURL(file) : null,
        state: "uploading",
        share: 0,
        error: "",
        retryable: false,
        attachment: null,
      };
      const held = this.in(conversation).filter(({ state }) => state !== "failed").length;
      this.items = [...this.items, item];
      if (file.size > rules.max_mib * 2 ** 20) {
        const limit = fileSize(rules.max_mib * 2 ** 20, active.locale);
        this.#fail(key, strings.files.tooLarge(fileSize(file.size, active.locale), limit), false);
      } else if (held >= rules.per_message) {
        this.#fail(key, strings.files.tooMany(rules.per_message), false);
      } else {
        this.#uploads.set(key, { file, upload: null });
        this.#start(key);
      }
    }
  }

  retry(key: string): void {
    if (!this.#uploads.has(key)) return;
    this.#change(key, { state: "uploading", share: 0, error: "" });
    this.#start(key);
  }

  /** Cancels an upload, or takes back what it has brought. */
  remove(key: string): void {
    const item = this.items.find((each) => each.key === key);
    if (item === undefined) return;
    this.#forget(item);
    this.#uploads.get(key)?.upload?.abort();
    this.#uploads.delete(key);
    if (item.attachment !== null) this.server.discard(item.attachment.id);
    this.#store(item.conversation);
  }

  /** What goes along with the message that is sent now; what failed goes away. */
  take(conversation: string | null): readonly Attachment[] {
    const taken = this.in(conversation);
    for (const item of taken) {
      this.#forget(item);
      this.#uploads.delete(item.key);
    }
    if (conversation !== null) this.#store(conversation);
    return taken.flatMap(({ attachment }) => (attachment === null ? [] : [attachment]));
  }

  #start(key: string): void {
    const kept = this.#uploads.get(key);
    const item = this.items.find((each) => each.key === key);
    if (kept === undefined || item === undefined) return;
    const upload = this.server.upload(item.conversation, kept.file, (share) => this.#change(key, { share }));
    kept.upload = upload;
    upload.done.then(
      (attachment) => {
        if (!this.items.some((each) => each.key === key)) return this.server.discard(attachment.id);
        this.#uploads.delete(key);
        this.#change(key, { state: "ready", share: 1, attachment, name: attachment.name });
        this.#store(item.conversation);
      },
      (error: unknown) => {
        if (error instanceof UploadRefused) this.#fail(key, words(error), PASSING.has(error.reason));
        else this.#fail(key, strings.files.notArrived, true);
      },
    );
  }

  #fail(key: string, error: string, retryable: boolean): void {
    this.#change(key, { state: "failed", error, retryable });
  }

  #change(key: string, change: Partial<Item>): void {
    this.items = this.items.map((item) => (item.key === key ? { ...item, ...change } : item));
  }

  #forget(item: Item): void {
    this.items = this.items.filter(({ key }) => key !== item.key);
    if (item.picture !== null) URL.revokeObjectURL(item.picture);
  }

  #ready(conversation: string, attachment: Attachment): Item {
    return {
      key: attachment.id,
      conversation,
      name: attachment.name,
      size: attachment.size,
      picture: null,
      state: "ready",
      share: 1,
      error: "",
      retryable: false,
      attachment,
    };
  }

  #store(conversation: string): void {
    const ready = this.in(conversation).flatMap(({ attachment }) => attachment ?? []);
    if (ready.length === 0) this.storage.remove(PREFIX + conversation);
    else this.storage.set(PREFIX + conversation, JSON.stringify({ at: this.now(), attachments: ready }));
  }

  #stored(conversation: string): Attachment[] {
    try {
      const kept = JSON.parse(this.storage.get(PREFIX + conversation) ?? "null") as {
        at: number;
        attachments: unknown[];
      } | null;
      if (kept === null || this.now() - kept.at > KEPT_FOR) return [];
      return kept.attachments.map((each) => attachmentShape(each, "attachment"));
    } catch {
      return [];
    }
  }
}

/** A refusal in the page's own words where it has any, else in the server's. */
function words({ reason, detail }: UploadRefused): string {
  const known: Record<string, string> = strings.files.refused;
  return known[reason] ?? (detail || strings.files.notArrived);
}
