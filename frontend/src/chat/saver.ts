import type { Changes } from "./types";

/**
 * Saves changes a moment after the last one, all of them in one request, one request at a time. What could not be
 * saved stays and goes with the next change.
 */
export class Saver {
  #waiting: Changes = {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(
    readonly save: (changes: Changes) => Promise<unknown>,
    readonly onFailure: (failed: boolean) => void = () => {},
    readonly delayMilliseconds = 500,
  ) {}

  /** Whether a change is on its way; what is only held does not count. */
  get isDue(): boolean {
    return this.#timer !== undefined && Object.keys(this.#waiting).length > 0;
  }

  change(changes: Changes): void {
    Object.assign(this.#waiting, changes);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.flush(), this.delayMilliseconds);
  }

  /** Keeps a change for the next save, without causing one. */
  hold(changes: Changes): void {
    Object.assign(this.#waiting, changes);
  }

  /** Forgets a change that has been overtaken. */
  drop(field: keyof Changes): void {
    delete this.#waiting[field];
  }

  /** Saves at once what waits; resolves when everything so far has been tried. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running = this.#running.then(() => this.#try());
    return this.#running;
  }

  async #try(): Promise<void> {
    if (Object.keys(this.#waiting).length === 0) return;
    const changes = this.#waiting;
    this.#waiting = {};
    try {
      await this.save(changes);
      this.onFailure(false);
    } catch {
      this.#waiting = { ...changes, ...this.#waiting };
      this.onFailure(true);
    }
  }
}
