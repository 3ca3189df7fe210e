/**
 * Texts that the server has not accepted yet.
 *
 * Pure functions over a list; each entry is stored under a key of its own, so that two tabs never overwrite each other. A
 * text keeps its `clientId` for good: sending it twice gives one message.
 */
import { attachment as attachmentShape, type Attachment } from "../shared/protocol";
import type { Storage } from "../shared/storage";

export interface Unsent {
  readonly clientId: string;
  /** `null` until the server has said which conversation this is. */
  readonly conversation: string | null;
  readonly text: string;
  /** Uploaded already; a text may be empty beside them. */
  readonly attachments?: readonly Attachment[];
  readonly state: "waiting" | "sending" | "failed";
  readonly tries: number;
  /** Not to be sent before this time, in milliseconds of the caller's clock. */
  readonly notBefore: number;
  /** Why it failed, in the server's words. */
  readonly detail?: string;
}

export type Outbox = readonly Unsent[];

export interface Refusal {
  readonly code: string;
  readonly detail: string;
  readonly retry_after?: number | null;
}

const PREFIX = "frontdesk.outbox.";

/** Refusals that pass by themselves. */
const PASSING = new Set(["rate_limited", "busy", "unavailable"]);

/** After this many refusals (about a minute) the visitor decides. */
const MAX_TRIES = 6;

const FIRST_DELAY = 1_000;
const LONGEST_DELAY = 30_000;

export function add(
  outbox: Outbox,
  clientId: string,
  conversation: string | null,
  text: string,
  attachments: readonly Attachment[] = [],
): Outbox {
  const entry: Unsent = { clientId, conversation, text, state: "waiting", tries: 0, notBefore: 0 };
  return [...outbox, attachments.length > 0 ? { ...entry, attachments } : entry];
}

export function remove(outbox: Outbox, clientId: string): Outbox {
  return outbox.filter((entry) => entry.clientId !== clientId);
}

/** Texts written before the conversation had an id belong to the one that was opened. */
export function adopt(outbox: Outbox, conversation: string): Outbox {
  return outbox.map((entry) => (entry.conversation === null ? { ...entry, conversation } : entry));
}

/** The conversation is gone: its texts wait for the next one that is opened. */
export function orphan(outbox: Outbox, conversation: string): Outbox {
  return outbox.map((entry) =>
    entry.conversation === conversation
      ? {
          clientId: entry.clientId,
          conversation: null,
          text: entry.text,
          // Files went with the conversation; the server says so, and the text is kept.
          ...(entry.attachments ? { attachments: entry.attachments } : {}),
          state: "waiting",
          tries: 0,
          notBefore: 0,
        }
      : entry,
  );
}

export function markSending(outbox: Outbox, clientId: string): Outbox {
  return change(outbox, clientId, (entry) => ({ ...entry, state: "sending", tries: entry.tries + 1 }));
}

/** The connection went, or no answer came: what was on its way is sent again. */
export function requeue(outbox: Outbox): Outbox {
  return outbox.map((entry) => (entry.state === "sending" ? { ...entry, state: "waiting" } : entry));
}

/** The visitor wants a failed text sent again. */
export function retry(outbox: Outbox, clientId: string): Outbox {
  return change(outbox, clientId, ({ detail: _detail, ...entry }) => ({
    ...entry,
    state: "waiting",
    tries: 0,
    notBefore: 0,
  }));
}

/** Schedules another try where the refusal may pass, else marks the text as failed. */
export function refuse(outbox: Outbox, clientId: string, refusal: Refusal, now: number): Outbox {
  return change(outbox, clientId, (entry) => {
    if (!PASSING.has(refusal.code) || entry.tries >= MAX_TRIES) {
      return { ...entry, state: "failed", detail: refusal.detail };
    }
    const backoff = Math.min(FIRST_DELAY * 2 ** Math.max(entry.tries - 1, 0), LONGEST_DELAY);
    const delay = Math.max(backoff, (refusal.retry_after ?? 0) * 1_000);
    return { ...entry, state: "waiting", notBefore: now + delay };
  });
}

/**
 * What to do next in a conversation: texts go one at a time and in order, a failed one lets the others pass.
 *
 * @returns the text to send now, or how many milliseconds to wait, or `null` when there is nothing to do.
 */
export function next(
  outbox: Outbox,
  conversation: string,
  now: number,
): { send: Unsent } | { wait: number } | null {
  const entry = outbox.find((entry) => entry.conversation === conversation && entry.state !== "failed");
  if (entry === undefined || entry.state === "sending") return null;
  return entry.notBefore <= now ? { send: entry } : { wait: entry.notBefore - now };
}

/** What a page that closed has left behind; anything damaged is dropped. */
export function load(storage: Storage): Outbox {
  const entries = storage.keys(PREFIX).flatMap((key) => {
    const entry = parse(storage.get(key));
    if (entry === null) storage.remove(key);
    return entry === null ? [] : [entry];
  });
  return entries.sort((a, b) => a.order - b.order).map(({ order: _order, ...entry }) => entry);
}

/** Writes what has changed between two states of the outbox. `now` orders the texts when they are read back. */
export function save(storage: Storage, before: Outbox, after: Outbox, now: number): void {
  for (const entry of before) {
    if (!after.some((kept) => kept.clientId === entry.clientId)) storage.remove(PREFIX + entry.clientId);
  }
  for (const [index, entry] of after.entries()) {
    const known = before.find((old) => old.clientId === entry.clientId);
    const key = PREFIX + entry.clientId;
    if (known?.conversation === entry.conversation && known.state === entry.state) continue;
    const order = parse(storage.get(key))?.order ?? now + index / 1_000;
    const { clientId, conversation, text, attachments, state, detail } = entry;
    storage.set(
      key,
      JSON.stringify({
        clientId,
        conversation,
        text,
        attachments,
        order,
        failed: state === "failed",
        detail,
      }),
    );
  }
}

function change(outbox: Outbox, clientId: string, update: (entry: Unsent) => Unsent): Outbox {
  return outbox.map((entry) => (entry.clientId === clientId ? update(entry) : entry));
}

function parse(text: string | null): (Unsent & { order: number }) | null {
  try {
    const value = JSON.parse(text ?? "") as Record<string, unknown>;
    const { clientId, conversation, text: body, attachments, order, failed, detail } = value;
    if (typeof clientId !== "string" || typeof body !== "string" || typeof order !== "number") return null;
    if (conversation !== null && typeof conversation !== "string") return null;
    return {
      clientId,
      conversation,
      text: body,
      state: failed === true ? "failed" : "waiting",
      tries: 0,
      notBefore: 0,
      order,
      ...(Array.isArray(attachments)
        ? { attachments: attachments.map((each) => attachmentShape(each, "attachment")) }
        : {}),
      ...(typeof detail === "string" ? { detail } : {}),
    };
  } catch {
    return null;
  }
}
