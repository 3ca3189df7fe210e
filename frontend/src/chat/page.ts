/** Opens the chat in the page's `#app`: by itself or embedded, it differs only in what it is given here. */
import { mount } from "svelte";

import { conversationIn, newId, socketAddress } from "../shared/browser";
import type { Storage } from "../shared/storage";
import { restoreTheme } from "../shared/theme";
import type { Api } from "./api";
import App from "./App.svelte";
import { connect } from "./connection";
import type { FileServer } from "./files/fileServer";
import { ChatSession } from "./session.svelte";

/** Frames may have changed while the page slept longer than this. */
const NAP = 5_000;

interface PageOptions {
  target: HTMLElement;
  storage: Storage;
  api: Api;
  files: FileServer;
  protocols?: () => string[];
  /** Where the page around can hide the chat. */
  onclose?: () => void;
}

export function openPage({ target, storage, api, files, protocols, onclose }: PageOptions): ChatSession {
  restoreTheme(storage);
  const session = new ChatSession({
    api,
    files,
    connect: (listener) =>
      connect(
        { url: socketAddress("/ws/chat/"), renew: api.renew, ...(protocols ? { protocols } : {}) },
        listener,
      ),
    storage,
    now: () => Date.now(),
    newId,
    isOnline: () => navigator.onLine,
    address: {
      read: () => conversationIn(location.hash),
      write: (conversation) => history.replaceState(history.state, "", `#${conversation}`),
    },
  });
  followPage(session);
  mount(App, { target, props: { session, storage, ...(onclose ? { onclose } : {}) } });
  return session;
}

/** The page is hidden, shown again, taken from the back-forward cache, loses the network: the session hears of it. */
function followPage(session: ChatSession): void {
  let hiddenAt = 0;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenAt = Date.now();
    else if (Date.now() - hiddenAt > NAP) session.wake();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) session.wake();
  });
  addEventListener("online", () => session.wake());
  addEventListener("offline", () => session.networkLost());
  addEventListener("hashchange", () => {
    const id = conversationIn(location.hash);
    if (id !== null) session.openConversation(id);
  });
}
