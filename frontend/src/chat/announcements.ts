/** What screen readers are told: each finished message once, never its growth. */
import type { ServerFrame } from "../shared/protocol";
import type { ConversationState } from "./conversation";
import { strings } from "./strings";

/** The words for a frame that arrives in this state, or `null` where nothing is worth interrupting for. */
export function announcement(frame: ServerFrame, before: ConversationState): string | null {
  if (frame.type === "turn.failed") return strings.failed;
  if (frame.type === "conversation.updated" && frame.conversation === before.id) {
    // Every other change of status comes with a message that says what happens.
    return frame.status === "closed" && before.status !== "closed" ? strings.closedTitle : null;
  }
  if (frame.type !== "reply.finished" && frame.type !== "message.posted") return null;
  const { id, role, text } = frame.message;
  if (before.messages.some((message) => message.id === id)) return null;
  if (role === "bot") return strings.replied(text);
  return role === "agent" ? strings.agentSaid(text, frame.message.author) : text;
}
