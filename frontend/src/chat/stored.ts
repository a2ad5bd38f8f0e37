import { fitsKeepalive, isChangedElsewhere, server } from "./http";
import { Saver } from "./saver";
import { stash } from "./stash";
import type { Changes, Conversation, Id, Parameters } from "./types";

/** One conversation as the server keeps it: made there only when there is something to keep. */
export class StoredConversation {
  /** The version that the page shows. */
  version = 0;
  /** The parameters as the server has them. */
  parameters: Parameters = {};
  readonly saver: Saver;
  #creating: Promise<Conversation> | null = null;

  constructor(
    public id: Id | null,
    readonly tab: () => string,
    readonly create: () => Promise<Conversation>,
    /** Brings the page up to date, without losing what is not saved yet. */
    readonly refresh: () => Promise<void>,
    onFailure: (failed: boolean) => void,
  ) {
    this.saver = new Saver((changes) => this.#save(changes), onFailure);
  }

  /** The id, after creating the conversation where it is not there yet. */
  async ensure(): Promise<Id> {
    if (this.id !== null) return this.id;
    this.#creating ??= this.create();
    try {
      const made = await this.#creating;
      this.version = Math.max(this.version, made.version);
      this.id = made.id;
      return made.id;
    } finally {
      this.#creating = null;
    }
  }

  /** Saves what waits, on a page that closes: the browser sends a little; all of it stays in the tab. */
  leavePage(): void {
    const { unsaved } = this.saver;
    stash(this.id, unsaved);
    const body = this.#body(unsaved);
    if (this.id === null || Object.keys(unsaved).length === 0 || !fitsKeepalive(body)) return;
    void server.change(this.id, body, { seen: this.version, keepalive: true }).catch(() => {});
  }

  async #save(changes: Changes): Promise<void> {
    const id = await this.ensure();
    try {
      await this.#send(id, changes);
    } catch (failure) {
      if (!isChangedElsewhere(failure)) throw failure;
      // Another tab was quicker: what it changed shows here first, then this side's change is made on top of it.
      this.saver.hold({ ...changes, ...this.saver.unsaved });
      await this.refresh();
      await this.#send(id, this.saver.take());
    }
  }

  async #send(id: Id, changes: Changes): Promise<void> {
    const version = await server.change(id, this.#body(changes), { seen: this.version });
    // A draft is taken on whatever version: that another tab made a newer one is not seen here yet.
    if (Object.keys(changes).some((name) => name !== "draft")) this.version = version;
    this.parameters = changes.parameters ?? this.parameters;
  }

  #body(changes: Changes): Changes & { tab?: string } {
    return changes.draft === undefined ? changes : { ...changes, tab: this.tab() };
  }
}
