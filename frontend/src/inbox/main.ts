/** The inbox: mounts in place of the list that the page was served with. */
import { mount } from "svelte";

import { hold } from "../chat/connection";
import { openStorage } from "../shared/storage";
import "../shared/tokens.css";
import { browserAlerts } from "./alerts";
import App from "./App.svelte";
import { parseDeskFrame } from "./protocol";
import { DeskSession } from "./session.svelte";

const target = document.getElementById("inbox");
if (target === null) throw new Error("The page has no #inbox.");
const { socket = "", transcript = "" } = target.dataset;
const scheme = location.protocol === "https:" ? "wss" : "ws";
const storage = openStorage();
const alerts = browserAlerts(storage);

function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const session = new DeskSession({
  connect: (listener) =>
    hold(
      { url: `${scheme}://${location.host}${socket}`, renew: askWhetherAllowed },
      parseDeskFrame,
      listener,
    ),
  storage,
  alerts,
  now: () => Date.now(),
  newId,
  isVisible: () => !document.hidden,
  address: {
    read: () => /^#([0-9a-f-]{36})$/.exec(location.hash)?.[1] ?? null,
    write: (conversation) =>
      history.replaceState(history.state, "", conversation === null ? location.pathname : `#${conversation}`),
  },
});

/** The socket is refused again and again: where that is because nobody is signed in any more, the login is shown. */
async function askWhetherAllowed(): Promise<void> {
  const response = await fetch(location.pathname, { method: "HEAD", redirect: "manual" });
  if (response.type === "opaqueredirect" || response.status === 403) location.reload();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) session.wake();
});
addEventListener("online", () => session.wake());
addEventListener("hashchange", () => session.open(location.hash.slice(1) || null));

target.replaceChildren();
mount(App, { target, props: { session, alerts, transcript } });
