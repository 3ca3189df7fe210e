/** The chat inside another site's page: it asks that page who the visitor is, and tells it what happens. */
import type { Command } from "../shared/embedding";
import { openStorage, partOf } from "../shared/storage";
import { dress } from "./accent";
import { openApi } from "./api";
import { openFileServer } from "./files/fileServer";
import { HostPage } from "./hostPage";
import { startLanguage } from "./languages/active.svelte";
import { openPage } from "./page";
import type { ChatSession } from "./session.svelte";
import { strings } from "./strings";
import { Unread } from "./unread";
import { SessionRefused, VisitorSession } from "./visitorSession";

/** A page that answers later is not one of ours. */
const ANSWERS_WITHIN = 1_500;

export async function openEmbedded(target: HTMLElement, site: string): Promise<void> {
  dress(target.dataset.accent ?? "");
  const allowed = JSON.parse(document.getElementById("origins")?.textContent ?? "[]") as string[];
  const host = HostPage.of(location.search, allowed, location.origin);
  const storage = partOf(openStorage(), `${site}/`);
  const visitor = new VisitorSession(site, storage);
  await startLanguage({ storage, ...asked(target) });
  const identity = host === null ? null : await identityFrom(host);

  /** What the page around has to mend is told to it, also where it comes long after the chat was opened. */
  async function renew(): Promise<void> {
    try {
      await visitor.renew();
    } catch (error) {
      if (error instanceof SessionRefused) host?.tell({ type: "identity-needed", detail: error.message });
      throw error;
    }
  }

  try {
    if (identity === null && visitor.current !== null) void renew().catch(() => undefined);
    else await visitor.renew(identity);
  } catch (error) {
    refuse(target, error, host);
    host?.listen((command) => {
      if (command.type === "identify" && command.identity !== null) location.reload();
    });
    return;
  }

  const token = (): string => visitor.current?.token ?? "";
  const session = openPage({
    target,
    storage,
    api: openApi(renew, token),
    files: openFileServer(token),
    protocols: () => ["frontdesk.v1", `frontdesk.visitor.${token()}`],
    ...(host === null ? {} : { onclose: () => host.tell({ type: "close" }) }),
  });
  if (host !== null) follow(host, session, visitor);
}

/** What the site allows, and what the page around asks for. */
function asked(target: HTMLElement): { allowed: string[]; page: string } {
  return {
    allowed: (target.dataset.languages ?? "").split(" "),
    page: new URLSearchParams(location.search).get("lang") ?? "",
  };
}

/** Says that the frame is here, and waits for what the page around has to say of the visitor. */
function identityFrom(host: HostPage): Promise<string | null> {
  return new Promise((resolve) => {
    const patience = setTimeout(() => resolve(null), ANSWERS_WITHIN);
    host.listen((command) => {
      if (command.type !== "start") return;
      clearTimeout(patience);
      resolve(command.identity);
    });
    host.tell({ type: "loaded" });
  });
}

function follow(host: HostPage, session: ChatSession, visitor: VisitorSession): void {
  const unread = new Unread((count) => host.tell({ type: "unread", count }));
  session.onreply = (role, text) => {
    unread.arrived();
    host.tell({ type: "message", role, text });
  };

  async function identify(identity: string | null): Promise<void> {
    const before = visitor.current?.visitor;
    if (identity === null) visitor.forget();
    try {
      await visitor.renew(identity);
    } catch (error) {
      if (!(error instanceof SessionRefused)) return;
      host.tell({ type: "identity-needed", detail: error.message });
      if (identity !== null) return;
    }
    // What the page shows is somebody else's now.
    if (visitor.current?.visitor !== before) location.replace(location.pathname + location.search);
  }

  function obey(command: Command): void {
    switch (command.type) {
      case "shown":
        unread.shown(command.shown);
        return;
      case "send":
        session.send(command.text);
        return;
      case "identify":
        void identify(command.identity);
        return;
      case "start":
        return;
    }
  }

  host.listen(obey);
  host.tell({ type: "ready" });
}

function refuse(target: HTMLElement, error: unknown, host: HostPage | null): void {
  const detail = error instanceof SessionRefused ? error.message : strings.tryLater;
  const note = document.createElement("p");
  note.setAttribute("role", "alert");
  note.className = "refusal";
  note.textContent = detail;
  target.replaceChildren(note);
  host?.tell({ type: "identity-needed", detail });
}
