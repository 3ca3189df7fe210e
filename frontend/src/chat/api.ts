/** The HTTP endpoints beside the socket. */
import { responses, type ChatInfo, type ConversationSummary, type EarlierMessages } from "../shared/protocol";

export interface Api {
  chat(): Promise<ChatInfo>;
  conversations(): Promise<ConversationSummary[]>;
  earlier(conversation: string, beforeSeq: number): Promise<EarlierMessages>;
  /** Fetches the page itself, which renews the visitor's cookie. */
  renew(): Promise<void>;
}

/** The server answered with something other than success. */
export class ApiError extends Error {
  override name = "ApiError";
}

async function getJson(path: string): Promise<unknown> {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new ApiError(`${path} answered ${response.status}`);
  return (await response.json()) as unknown;
}

export const api: Api = {
  chat: async () => responses.chat(await getJson("/api/chat")),
  conversations: async () => responses.conversations(await getJson("/api/conversations")).conversations,
  earlier: async (conversation, beforeSeq) =>
    responses.earlier(
      await getJson(
        `/api/conversations/${encodeURIComponent(conversation)}/messages?before_seq=${beforeSeq}`,
      ),
    ),
  renew: async () => {
    await fetch("/", { headers: { Accept: "text/html" } });
  },
};
