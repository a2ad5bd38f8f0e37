/** Moves between conversations and changes them as a whole. Each call shows its own failure. */
import type { Answering } from "./answering.svelte";
import { server } from "./http";
import type { Session } from "./session.svelte";
import type { Id } from "./types";

export class Conversations {
  #wanted: Id | null = null;

  constructor(
    readonly session: Session,
    readonly answering: Answering,
  ) {}

  async open(id: Id): Promise<void> {
    const { session } = this;
    if (id === session.id) return;
    session.leave();
    this.#wanted = id;
    session.isLoading = true;
    session.problem = null;
    await this.#try(async () => {
      const conversation = await server.read(id);
      // A quicker click on another one wins.
      if (this.#wanted === id) this.answering.adopt(conversation);
    });
  }

  startNew(): void {
    this.#wanted = null;
    this.answering.live = null;
    this.session.startNew();
  }

  async switchProject(project: string): Promise<void> {
    this.session.leave();
    Object.assign(this.session, { project, balance: null, conversations: [] });
    this.startNew();
    this.answering.watch();
    await this.#try(() => this.session.refreshHistory());
  }

  async rename(id: Id, title: string): Promise<void> {
    await this.#try(async () => {
      await server.change(id, { title });
      const renamed = this.session.conversations.find((item) => item.id === id);
      if (renamed) renamed.title = title;
      if (id === this.session.id) this.session.title = title;
    });
  }

  async remove(id: Id): Promise<void> {
    await this.#try(async () => {
      await server.remove(id);
      if (id === this.session.id) this.startNew();
      this.session.conversations = this.session.conversations.filter((item) => item.id !== id);
    });
  }

  async clear(): Promise<void> {
    const { session } = this;
    await this.#try(async () => {
      await server.clear(await session.saved());
      this.answering.live = null;
      Object.assign(session, { messages: [], problem: null });
      await session.refreshTitle();
    });
  }

  /** Deletes a message and all after it. */
  async removeFrom(message: Id): Promise<void> {
    const { session } = this;
    await this.#try(async () => {
      await server.removeFrom(await session.saved(), message);
      const at = session.messages.findIndex(({ id }) => id === message);
      session.messages = session.messages.slice(0, at);
      if (at === 0) await session.refreshTitle();
    });
  }

  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (failure) {
      this.session.fail(failure);
    }
  }
}
