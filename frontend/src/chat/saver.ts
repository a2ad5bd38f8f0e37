import type { Changes } from "./types";

const FIRST_RETRY_MILLISECONDS = 2_000;
const LONGEST_RETRY_MILLISECONDS = 30_000;

/**
 * Saves changes a moment after the last one, all of them in one request, one request at a time. What could not be
 * saved stays: it goes with the next change, or is tried again by itself, more and more patiently.
 */
export class Saver {
  /** Why the last attempt failed; null after one that did not. */
  failure: unknown = null;
  #waiting: Changes = {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> = Promise.resolve();
  #failures = 0;

  constructor(
    readonly save: (changes: Changes) => Promise<unknown>,
    readonly onFailure: (failed: boolean) => void = () => {},
    readonly delayMilliseconds = 500,
  ) {}

  /** Whether a change is on its way; what is only held does not count. */
  get isDue(): boolean {
    return this.#timer !== undefined && Object.keys(this.#waiting).length > 0;
  }

  /** What the server does not know yet. */
  get unsaved(): Changes {
    return this.#waiting;
  }

  change(changes: Changes): void {
    Object.assign(this.#waiting, changes);
    this.#schedule(this.delayMilliseconds);
  }

  /** Keeps a change for the next save, without causing one. */
  hold(changes: Changes): void {
    Object.assign(this.#waiting, changes);
  }

  /** Forgets a change that has been overtaken. */
  drop(field: keyof Changes): void {
    delete this.#waiting[field];
  }

  /** Returns what waits, and lets go of it. */
  take(): Changes {
    const changes = this.#waiting;
    this.#waiting = {};
    return changes;
  }

  /** Saves at once what waits; resolves when everything so far has been tried. */
  flush(): Promise<void> {
    this.rest();
    this.#running = this.#running.then(() => this.#try());
    return this.#running;
  }

  /** Tries no more by itself. */
  rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Tries again what failed: the server can be reached again. */
  retry(): void {
    if (this.failure !== null) void this.flush();
  }

  #schedule(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.flush(), milliseconds);
  }

  async #try(): Promise<void> {
    if (Object.keys(this.#waiting).length === 0) return;
    const changes = this.take();
    try {
      await this.save(changes);
      this.failure = null;
      this.#failures = 0;
      this.onFailure(false);
    } catch (failure) {
      this.#waiting = { ...changes, ...this.#waiting };
      this.failure = failure;
      this.onFailure(true);
      this.#schedule(Math.min(FIRST_RETRY_MILLISECONDS * 2 ** this.#failures, LONGEST_RETRY_MILLISECONDS));
      this.#failures += 1;
    }
  }
}
