/** Keeps the page's connection and balance true, and finds out why a connection is refused. */
import { HttpError, server } from "./http";
import type { Page } from "./page.svelte";
import type { Connection } from "./socket";
import type { Id } from "./types";

export class Access {
  constructor(
    readonly page: Page,
    /** The conversations that are open. */
    readonly open: () => Id[],
  ) {
    page.listeners.add(this);
  }

  opened(): void {
    this.watch();
  }

  /** Asks to be told of the project's balance, and of what other tabs do to the open conversations. */
  watch(): void {
    const { project } = this.page;
    if (project) this.page.send({ type: "watch", project, conversations: this.open() });
  }

  receive(): void {}

  changed(connection: Connection): void {
    if (connection === "lost") void this.#check();
  }

  /** A refused handshake does not say why; an ordinary request does. */
  async #check(): Promise<void> {
    const { page } = this;
    try {
      page.balance = await server.balance(page.project);
    } catch (failure) {
      // Without a project there is nothing to look into, and only a lost login says anything.
      const telling = page.project ? [401, 403, 404] : [401];
      if (!(failure instanceof HttpError) || !telling.includes(failure.status)) return;
      page.revocation ??= failure.error.code ?? "access_ended";
      page.giveUp();
      for (const listener of page.listeners) listener.changed("revoked");
    }
  }
}
