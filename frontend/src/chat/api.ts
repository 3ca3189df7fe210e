/** The HTTP endpoints beside the socket. */
import { responses, type ChatInfo, type ConversationSummary, type EarlierMessages } from "../shared/protocol";

export interface Api {
  chat(): Promise<ChatInfo>;
  conversations(): Promise<ConversationSummary[]>;
  earlier(conversation: string, beforeSeq: number): Promise<EarlierMessages>;
  /** Keeps whether the visitor's conversations may be trained on. */
  consent(agreed: boolean): Promise<void>;
  /** Renews what says who the visitor is. */
  renew(): Promise<void>;
}

/** The server answered with something other than success. */
export class ApiError extends Error {
  override name = "ApiError";
}

/** The endpoints as the page may use them: by its cookie, or embedded by the token that `session` gives. */
export function openApi(renew: () => Promise<void>, session?: () => string): Api {
  const asked: RequestInit = session === undefined ? {} : { credentials: "omit" };

  function headers(): Record<string, string> {
    return session === undefined ? {} : { Authorization: `Bearer ${session()}` };
  }

  async function getJson(path: string): Promise<unknown> {
    const response = await fetch(path, { ...asked, headers: { Accept: "application/json", ...headers() } });
    if (!response.ok) throw new ApiError(`${path} answered ${response.status}`);
    return (await response.json()) as unknown;
  }

  return {
    chat: async () => responses.chat(await getJson("/api/chat")),
    conversations: async () => responses.conversations(await getJson("/api/conversations")).conversations,
    earlier: async (conversation, beforeSeq) =>
      responses.earlier(
        await getJson(
          `/api/conversations/${encodeURIComponent(conversation)}/messages?before_seq=${beforeSeq}`,
        ),
      ),
    consent: async (agreed) => {
      const response = await fetch("/api/consent", {
        ...asked,
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers() },
        body: JSON.stringify({ agreed }),
      });
      if (!response.ok) throw new ApiError(`/api/consent answered ${response.status}`);
    },
    renew,
  };
}

/** Fetches the page itself, which renews the visitor's cookie. */
export async function renewCookie(): Promise<void> {
  await fetch("/", { headers: { Accept: "text/html" } });
}
