/** Moves between conversations and changes them as a whole. Each call shows its own failure. */
import { t } from "../i18n";
import { placeOf } from "./address";
import type { Answering } from "./answering.svelte";
import { saveFrom, type FileKind } from "./files";
import { isChangedElsewhere, server } from "./http";
import type { Session } from "./session.svelte";
import type { Conversation, Deletion, Id } from "./types";

export class Conversations {
  #wanted: Id | null = null;

  constructor(
    readonly session: Session,
    readonly answering: Answering,
  ) {}

  async open(id: Id, isStep = true): Promise<void> {
    const { session } = this;
    if (id === session.id && !session.isLoading) return;
    session.leave();
    this.#wanted = id;
    session.isLoading = true;
    session.problem = null;
    session.page.undoable = null;
    await this.#try(async () => {
      const conversation = await server.read(id);
      // A quicker click on another one wins.
      if (this.#wanted === id) this.#show(conversation, isStep);
    });
  }

  startNew(isStep = true): void {
    this.#wanted = null;
    this.answering.live = null;
    this.session.startNew(isStep);
  }

  /** Shows the place that the address names, after Back or Forward. */
  async follow(address: string): Promise<void> {
    const { conversation, project, model } = placeOf(address);
    if (conversation !== null) return this.open(conversation, false);
    if (project && project !== this.session.page.project) await this.switchProject(project, false);
    else this.startNew(false);
    if (model) this.session.change({ model });
  }

  async switchProject(project: string, isStep = true): Promise<void> {
    const { page } = this.session;
    this.session.leave();
    Object.assign(page, { project, balance: null });
    this.startNew(isStep);
    await page.history.reload();
  }

  async rename(id: Id, title: string): Promise<void> {
    await this.#try(async () => {
      const version = await server.change(id, { title });
      this.session.page.history.change(id, { title });
      if (id === this.session.id) Object.assign(this.session, { title, version });
    });
  }

  async remove(id: Id): Promise<void> {
    const { session } = this;
    const wasOpen = id === session.id;
    // Left before it is gone: that it goes is no news from another tab.
    if (wasOpen) this.startNew();
    await this.#try(async () => {
      const deletion = await server.remove(id);
      session.page.history.remove(id);
      this.#offerUndo(t.conversationDeleted, { conversation: id, deletion, head: null }, wasOpen);
    });
  }

  /** Takes away one of several columns, and shows another one where it was the open one. */
  async removeColumn(id: Id, next: Id | null): Promise<void> {
    await this.#try(async () => {
      const deletion = await server.remove(id, true);
      if (next !== null) this.#show(await server.read(next), false);
      else await this.session.refresh();
      this.#offerUndo(t.columnClosed, { conversation: id, deletion, head: null }, true);
      await this.session.page.history.reload();
    });
  }

  /** Lets one of several columns go on alone, and shows it. */
  async goOnAlone(id: Id): Promise<void> {
    await this.#try(async () => {
      this.#show(await server.leaveColumns(id), true);
      await this.session.page.history.reload();
    });
  }

  async clear(): Promise<void> {
    const { session } = this;
    await this.#try(async () => {
      const head = session.messages.at(-1)?.id ?? null;
      const { deletion, ...conversation } = await server.clear(await session.saved());
      this.#show(conversation, false);
      this.#offerUndo(t.messagesDeleted, { conversation: conversation.id, deletion, head }, true);
    });
  }

  /** Deletes a message and all after it. */
  async removeFrom(message: Id): Promise<void> {
    const { session } = this;
    await this.#try(async () => {
      const head = session.messages.at(-1)?.id ?? null;
      const id = await session.saved();
      const deletion = await server.removeFrom(id, message, session.version);
      this.#show(await server.read(id), false);
      this.#offerUndo(t.messagesDeleted, { conversation: id, deletion, head }, true);
    });
  }

  /** Lets the browser save the open conversation as a file. */
  async export(kind: FileKind): Promise<void> {
    await this.#try(async () => saveFrom(server.exportAddress(await this.session.saved(), kind)));
  }

  /** Makes a new conversation of a file, in the open project, and shows it. */
  async import(file: File): Promise<void> {
    const { session } = this;
    session.problem = null;
    await this.#try(async () => {
      const conversation = await server.import(session.page.project, file);
      session.leave();
      this.#show(conversation, true);
      await session.page.history.reload();
    });
  }

  /** Shows another version of a turn, with everything behind it. */
  async showVersion(message: Id): Promise<void> {
    await this.#try(async () => {
      this.#show(await server.showVersion(await this.session.saved(), message), false);
    });
  }

  #offerUndo(text: string, deleted: Deletion, isToShow: boolean): void {
    const { page } = this.session;
    const undo = () =>
      this.#try(async () => {
        page.undoable = null;
        const conversation = await server.restore(deleted);
        if (isToShow) this.#show(conversation, conversation.id !== this.session.id);
        await page.history.reload();
      });
    page.undoable = { text, undo };
  }

  #show(conversation: Conversation, isStep: boolean): void {
    const { page } = this.session;
    const isElsewhere = conversation.project !== page.project;
    this.answering.adopt(conversation, isStep);
    page.history.change(conversation.id, { title: conversation.title });
    if (isElsewhere) void page.history.reload();
  }

  async #try(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (failure) {
      if (isChangedElsewhere(failure)) {
        await this.session.refresh().catch(() => {});
        this.session.notice = t.changedElsewhereFirst;
      } else this.session.fail(failure);
    }
  }
}
