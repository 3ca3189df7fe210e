/** What pages need of the browser, in one place. */

/** The conversation that a page's address names after `#`; null where that is something else, as after a skip link. */
export function conversationIn(hash: string): string | null {
  return /^#([0-9a-f-]{36})$/.exec(hash)?.[1] ?? null;
}

/** `crypto.randomUUID` is missing on plain http, where the shop may well run in a local network. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The address of one of our own sockets. */
export function socketAddress(path: string): string {
  return `${location.origin.replace(/^http/, "ws")}${path}`;
}
