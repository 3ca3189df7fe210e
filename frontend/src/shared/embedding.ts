/** What the frame with the chat and the page around it say to each other. Types alone: the loader imports nothing. */

/** From the page around to the chat. */
export type Command =
  | { type: "start"; identity: string | null }
  | { type: "identify"; identity: string | null }
  | { type: "send"; text: string }
  | { type: "shown"; shown: boolean };

/** From the chat to the page around. */
export type Report =
  | { type: "loaded" }
  | { type: "ready" }
  | { type: "close" }
  | { type: "unread"; count: number }
  | { type: "message"; role: "bot" | "agent"; text: string }
  | { type: "identity-needed"; detail: string };

/** Marks our messages among all that windows are sent. */
export const MARK = "frontdesk";
export type Marked<Said> = Said & { mark: typeof MARK };
