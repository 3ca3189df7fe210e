/** The inbox: mounts in place of the list that the page was served with. */
import { mount } from "svelte";

import { hold } from "../chat/connection";
import { conversationIn, newId, socketAddress } from "../shared/browser";
import { openStorage } from "../shared/storage";
import "../shared/tokens.css";
import { browserAlerts } from "./alerts";
import App from "./App.svelte";
import { parseDeskFrame } from "./protocol";
import { DeskSession } from "./session.svelte";

const target = document.getElementById("inbox");
if (target === null) throw new Error("The page has no #inbox.");
const { socket = "", transcript = "" } = target.dataset;
const storage = openStorage();
const alerts = browserAlerts(storage);

const session = new DeskSession({
  connect: (listener) =>
    hold({ url: socketAddress(socket), renew: askWhetherAllowed }, parseDeskFrame, listener),
  storage,
  alerts,
  now: () => Date.now(),
  newId,
  isVisible: () => !document.hidden,
  address: {
    read: () => conversationIn(location.hash),
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
addEventListener("hashchange", () => {
  const id = conversationIn(location.hash);
  if (id !== null || location.hash === "") session.open(id);
});

target.replaceChildren();
mount(App, { target, props: { session, alerts, transcript } });
