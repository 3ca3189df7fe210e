/** How the page calls for attention when nobody looks at it: a sound, a notification of the browser. */
import type { Storage } from "../shared/storage";

const SOUND = "frontdesk.inbox.sound";

export interface Alerts {
  readonly permission: NotificationPermission;
  sound(): boolean;
  setSound(on: boolean): void;
  /** Asks for the browser's permission; only from a click, or browsers refuse for ever. */
  askPermission(): Promise<NotificationPermission>;
  call(text: string, onclick: () => void): void;
}

export function browserAlerts(storage: Storage): Alerts {
  const supported = "Notification" in globalThis;
  return {
    get permission() {
      return supported ? Notification.permission : "denied";
    },
    sound: () => storage.get(SOUND) === "on",
    setSound(on) {
      storage.set(SOUND, on ? "on" : "off");
      if (on) beep();
    },
    askPermission: () => (supported ? Notification.requestPermission() : Promise.resolve("denied")),
    call(text, onclick) {
      if (storage.get(SOUND) === "on") beep();
      if (!document.hidden || !supported || Notification.permission !== "granted") return;
      const notification = new Notification(document.title.replace(/^\(\d+\) /, ""), {
        body: text,
        tag: text,
      });
      notification.onclick = () => {
        window.focus();
        notification.close();
        onclick();
      };
    },
  };
}

/** Two short tones; made here, so that there is no file to fetch. */
function beep(): void {
  const context = new AudioContext();
  for (const [index, pitch] of [660, 880].entries()) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    const start = context.currentTime + index * 0.14;
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, start);
    volume.gain.exponentialRampToValueAtTime(0.12, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.13);
    tone.connect(volume).connect(context.destination);
    tone.start(start);
    tone.stop(start + 0.14);
  }
  setTimeout(() => void context.close(), 600);
}
