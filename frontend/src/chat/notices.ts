import { redrawNotices, showNoticesOf } from "../site/notices";
import type { Page } from "./page.svelte";

const LEAST_MILLISECONDS = 3_000;

/** Keeps the warnings about credits, which the server drew above the page, in step with what is spent. */
export class CreditNotices {
  #lookedAt = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly page: Page) {}

  /** Shows those of the open project: its own, and its team's. */
  show(): void {
    this.page.isRefused = showNoticesOf(this.page.project);
  }

  /** Has them drawn anew, at once or a moment after the last time: a busy team's balance changes all the time. */
  refresh(): void {
    this.#timer ??= setTimeout(() => void this.#look(), this.#lookedAt + LEAST_MILLISECONDS - performance.now());
  }

  async #look(): Promise<void> {
    this.#timer = undefined;
    this.#lookedAt = performance.now();
    if (await redrawNotices(this.page.project)) this.show();
  }
}
