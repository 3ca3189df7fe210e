/** How many replies came while the chat was hidden. */
export class Unread {
  #count = 0;
  #isShown = true;

  constructor(private readonly told: (count: number) => void) {}

  arrived(): void {
    if (this.#isShown) return;
    this.#count += 1;
    this.told(this.#count);
  }

  shown(isShown: boolean): void {
    this.#isShown = isShown;
    if (isShown && this.#count > 0) {
      this.#count = 0;
      this.told(0);
    }
  }
}
