/** The page around an embedded chat. Only pages of the site's origins are listened to and told anything. */
import { MARK, type Command, type Marked, type Report } from "../shared/embedding";

export class HostPage {
  #origin: string;

  /** `origin` is what the loader says it is on; null is given where the site does not allow it. */
  static of(address: string, allowed: readonly string[], own: string): HostPage | null {
    const origin = new URLSearchParams(address).get("origin") ?? "";
    return origin === own || allowed.includes(origin) ? new HostPage(origin) : null;
  }

  private constructor(origin: string) {
    this.#origin = origin;
  }

  tell(report: Report): void {
    window.parent.postMessage({ ...report, mark: MARK }, this.#origin);
  }

  /** Calls back with each command. */
  listen(heard: (command: Command) => void): void {
    window.addEventListener("message", (event: MessageEvent<unknown>) => {
      if (event.source !== window.parent || event.origin !== this.#origin) return;
      const command = event.data as Partial<Marked<Command>> | null;
      if (command?.mark === MARK) heard(command as Command);
    });
  }
}
