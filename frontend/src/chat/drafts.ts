/** What the visitor has typed and not sent, one text per conversation. */
import type { Storage } from "../shared/storage";

const PREFIX = "frontdesk.draft.";

/** Texts typed before the conversation has an id are kept under this one. */
const UNNAMED = "new";

export function readDraft(storage: Storage, conversation: string | null): string {
  return storage.get(PREFIX + (conversation ?? UNNAMED)) ?? "";
}

export function writeDraft(storage: Storage, conversation: string | null, text: string): void {
  const key = PREFIX + (conversation ?? UNNAMED);
  if (text === "") storage.remove(key);
  else storage.set(key, text);
}
