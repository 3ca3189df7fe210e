/** The session of an embedded chat: a token that is kept with the page, since it may not be allowed a cookie. */
import type { Storage } from "../shared/storage";

const KEY = "session";

export interface Session {
  token: string;
  visitor: string;
}

/** The server gives no session: the site wants visitors to sign in, or does not vouch for this one. */
export class SessionRefused extends Error {
  override name = "SessionRefused";
}

export class VisitorSession {
  current: Session | null;

  constructor(
    private readonly site: string,
    private readonly storage: Storage,
    private readonly post: (body: unknown) => Promise<Response> = postSession,
  ) {
    this.current = stored(storage);
  }

  /** Opens or renews the session; `identity` is a signed token of the page around. Throws SessionRefused. */
  async renew(identity: string | null = null): Promise<Session> {
    const response = await this.post({
      site: this.site,
      token: this.current?.token ?? "",
      identity: identity ?? "",
    });
    if (response.status === 403 || response.status === 404) {
      const { detail } = (await response.json()) as { detail?: string };
      throw new SessionRefused(detail ?? "");
    }
    if (!response.ok) throw new Error(`/api/session answered ${response.status}`);
    const session = (await response.json()) as Session;
    this.#keep(session);
    return session;
  }

  /** The visitor has signed out of the page around: whoever comes next is somebody else. */
  forget(): void {
    this.#keep(null);
  }

  #keep(session: Session | null): void {
    this.current = session;
    if (session === null) this.storage.remove(KEY);
    else this.storage.set(KEY, JSON.stringify({ token: session.token, visitor: session.visitor }));
  }
}

function stored(storage: Storage): Session | null {
  try {
    const kept = JSON.parse(storage.get(KEY) ?? "null") as Partial<Session> | null;
    return typeof kept?.token === "string" && typeof kept.visitor === "string"
      ? { token: kept.token, visitor: kept.visitor }
      : null;
  } catch {
    return null;
  }
}

function postSession(body: unknown): Promise<Response> {
  return fetch("/api/session", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    credentials: "omit",
    body: JSON.stringify(body),
  });
}
