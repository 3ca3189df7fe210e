/**
 * The loader: `<script async src="https://…/widget.js" data-site="…"></script>` shows a button, and loads the chat in a
 * frame once somebody presses it.
 *
 * A classic script on strangers' pages: it imports nothing, leaves one global, and draws inside a shadow root, so that
 * neither side's styles reach the other.
 */
import type { Command, Report } from "../shared/embedding";

type Listener = (detail?: unknown) => void;
type Happening = "ready" | "open" | "close" | "unread" | "message" | "identity-needed";

(() => {
  const WORDS: Record<string, [open: string, close: string, chat: string]> = {
    en: ["Open the chat", "Close the chat", "Chat"],
    de: ["Chat öffnen", "Chat schließen", "Chat"],
    ar: ["فتح المحادثة", "إغلاق المحادثة", "محادثة"],
    zh: ["打开聊天", "关闭聊天", "聊天"],
  };
  const ICON =
    '<svg viewBox="0 0 24 24" width="26" height="26" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path class="chat" d="M21 12a8 8 0 0 1-8 8H4l2-3.2A8 8 0 1 1 21 12z"/><path class="cross" d="M6 6l12 12M18 6L6 18"/></svg>';
  const STYLES = `
:host{all:initial;--accent:#0b6b5b}
button{position:fixed;z-index:2147483000;inset:auto 20px calc(20px + env(safe-area-inset-bottom)) auto;width:60px;height:60px;border:0;border-radius:50%;background:var(--accent);color:#fff;box-shadow:0 4px 16px #0004;cursor:pointer;display:grid;place-items:center}
:host(:dir(rtl)) button{inset:auto auto calc(20px + env(safe-area-inset-bottom)) 20px}
button:focus-visible{outline:3px solid #1a66d6;outline-offset:3px}
.cross,.open .chat{display:none}.open .cross{display:inline}
span{position:absolute;top:-4px;right:-4px;min-width:22px;height:22px;padding:0 5px;box-sizing:border-box;border-radius:11px;background:#b3261e;color:#fff;font:600 13px/22px system-ui,sans-serif}
[hidden]{display:none!important}
div{position:fixed;z-index:2147483000;inset:auto 20px calc(96px + env(safe-area-inset-bottom)) auto;width:400px;height:min(680px,calc(100dvh - 130px));border-radius:16px;overflow:hidden;box-shadow:0 8px 40px #0005;background:Canvas;color-scheme:light dark}
:host(:dir(rtl)) div{inset:auto auto calc(96px + env(safe-area-inset-bottom)) 20px}
iframe{display:block;width:100%;height:100%;border:0}
@media(max-width:480px){div{inset:0!important;width:100%;height:100dvh;border-radius:0}:host([open]) button{display:none}}
@media(prefers-reduced-motion:no-preference){div{animation:in .16s ease-out}@keyframes in{from{opacity:0;transform:translateY(8px)}}}
@media print{:host{display:none}}`;
  const script = document.currentScript;
  if (!(script instanceof HTMLScriptElement)) return;
  const site = script.dataset.site ?? "";
  const home = new URL(script.src).origin;
  if (site === "" || "Frontdesk" in window) {
    complain(site === "" ? "data-site is missing" : "the widget is on this page already");
    return;
  }
  const mark = "frontdesk";
  const asked = script.dataset.lang ? `&lang=${encodeURIComponent(script.dataset.lang)}` : "";
  const words = labels(script.dataset.lang ?? document.documentElement.lang);
  const listeners = new Map<Happening, Set<Listener>>();
  let identity: string | null = null;
  let frame: HTMLIFrameElement | null = null;
  /** What the frame was told of the visitor when it loaded; null before. */
  let started: { identity: string | null } | null = null;
  let isReady = false;
  let isOpen = false;
  let unread = 0;
  const waiting: Command[] = [];

  const host = document.createElement("div");
  const root = host.attachShadow({ mode: "open" });
  const button = document.createElement("button");
  const badge = document.createElement("span");
  const panel = document.createElement("div");
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLES);
  root.adoptedStyleSheets = [sheet];
  button.type = "button";
  button.innerHTML = ICON;
  button.append(badge);
  badge.hidden = true;
  panel.hidden = true;
  panel.setAttribute("role", "dialog");
  root.append(panel, button);
  button.addEventListener("click", () => (isOpen ? close() : open()));
  host.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && isOpen) close();
  });
  show();
  if (document.body) document.body.append(host);
  else addEventListener("DOMContentLoaded", () => document.body.append(host));
  void dress();

  addEventListener("message", (event: MessageEvent<unknown>) => {
    if (frame === null || event.source !== frame.contentWindow || event.origin !== home) return;
    const report = event.data as Report & { mark?: unknown };
    if (report.mark === mark) hear(report);
  });

  function hear(report: Report): void {
    switch (report.type) {
      case "loaded":
        isReady = false;
        started = { identity };
        post({ type: "start", identity });
        return;
      case "ready":
        isReady = true;
        if (started?.identity !== identity) post({ type: "identify", identity });
        post({ type: "shown", shown: isOpen });
        for (const command of waiting.splice(0)) post(command);
        tell("ready");
        return;
      case "close":
        close();
        return;
      case "unread":
        unread = report.count;
        show();
        tell("unread", report.count);
        return;
      case "message":
        tell("message", { role: report.role, text: report.text });
        return;
      case "identity-needed":
        tell("identity-needed", report.detail);
        return;
    }
  }

  function post(command: Command): void {
    frame?.contentWindow?.postMessage({ ...command, mark }, home);
  }

  function whenReady(command: Command): void {
    if (isReady) post(command);
    else waiting.push(command);
  }

  function load(): void {
    if (frame !== null) return;
    frame = document.createElement("iframe");
    frame.title = words.chat;
    frame.allow = "clipboard-write";
    frame.src = `${home}/embed/${encodeURIComponent(site)}/?origin=${encodeURIComponent(location.origin)}${asked}`;
    panel.append(frame);
  }

  function open(): void {
    load();
    if (isOpen) return;
    isOpen = true;
    show();
    post({ type: "shown", shown: true });
    frame?.focus();
    tell("open");
  }

  function close(): void {
    if (!isOpen) return;
    isOpen = false;
    show();
    post({ type: "shown", shown: false });
    button.focus();
    tell("close");
  }

  function show(): void {
    panel.hidden = !isOpen;
    host.toggleAttribute("open", isOpen);
    button.classList.toggle("open", isOpen);
    badge.hidden = unread === 0 || isOpen;
    badge.textContent = unread > 9 ? "9+" : String(unread);
    button.setAttribute("aria-expanded", String(isOpen));
    button.setAttribute(
      "aria-label",
      isOpen ? words.close : unread > 0 ? `${words.open} (${unread})` : words.open,
    );
    panel.setAttribute("aria-label", words.chat);
  }

  async function dress(): Promise<void> {
    try {
      const answer = await fetch(`${home}/embed/${encodeURIComponent(site)}/launcher.json`);
      if (answer.status === 404) complain(`there is no site “${site}”`);
      if (!answer.ok) return;
      const { accent } = (await answer.json()) as { accent: string };
      host.style.setProperty("--accent", accent);
    } catch {
      // The button keeps its own colour.
    }
  }

  function complain(about: unknown): void {
    // eslint-disable-next-line no-console -- the page's author has no other place to look
    console.error("Frontdesk:", about);
  }

  function tell(happening: Happening, detail?: unknown): void {
    for (const listener of listeners.get(happening) ?? []) {
      try {
        listener(detail);
      } catch (error) {
        complain(error);
      }
    }
  }

  const api = {
    open,
    close,
    /** Says who the visitor is, by a signed token; null where they have signed out. */
    identify(token: string | null): void {
      identity = token;
      // Also where the chat was refused for want of one, and so never was ready.
      if (started !== null) post({ type: "identify", identity });
    },
    /** Opens the chat and sends the text as the visitor's. */
    send(text: string): void {
      open();
      whenReady({ type: "send", text });
    },
    on(happening: Happening, listener: Listener): () => void {
      const heard = listeners.get(happening) ?? new Set<Listener>();
      listeners.set(happening, heard.add(listener));
      return () => heard.delete(listener);
    },
  };
  Object.defineProperty(window, "Frontdesk", { value: Object.freeze(api) });
  dispatchEvent(new CustomEvent("frontdesk:ready"));

  interface Labels {
    open: string;
    close: string;
    chat: string;
  }

  function labels(language: string): Labels {
    const [open, close, chat] = WORDS[language.slice(0, 2)] ?? WORDS.en ?? [];
    return { open: open ?? "", close: close ?? "", chat: chat ?? "" };
  }
})();
