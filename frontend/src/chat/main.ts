/** The customer's chat page: mounts on `#app` of the page that Django serves at `/`. */
import { mount } from "svelte";

import "../shared/base.css";
import { openStorage } from "../shared/storage";
import { restoreTheme } from "../shared/theme";
import { api } from "./api";
import App from "./App.svelte";
import { connect } from "./connection";
import { ChatSession } from "./session.svelte";

/** Frames may have changed while the page slept longer than this. */
const NAP = 5_000;

const storage = openStorage();
restoreTheme(storage);

const scheme = location.protocol === "https:" ? "wss" : "ws";
const url = `${scheme}://${location.host}/ws/chat/`;

/** `crypto.randomUUID` is missing on plain http, where the shop may well run in a local network. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const session = new ChatSession({
  api,
  connect: (listener) => connect({ url, renew: api.renew }, listener),
  storage,
  now: () => Date.now(),
  newId,
  isOnline: () => navigator.onLine,
  address: {
    read: () => /^#([0-9a-f-]{36})$/.exec(location.hash)?.[1] ?? null,
    write: (conversation) => history.replaceState(history.state, "", `#${conversation}`),
  },
});

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
  const id = location.hash.slice(1);
  if (/^[0-9a-f-]{36}$/.test(id)) session.openConversation(id);
});

const target = document.getElementById("app");
if (target === null) throw new Error("The page has no #app.");
mount(App, { target, props: { session, storage } });
