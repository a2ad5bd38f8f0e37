import { server } from "./http";
import { Saver } from "./saver";
import type { Id } from "./types";

/** One conversation as the server keeps it: made there only when there is something to keep. */
export class StoredConversation {
  readonly saver: Saver;
  #creating: Promise<Id> | null = null;

  constructor(
    public id: Id | null,
    readonly create: () => Promise<Id>,
    onFailure: (failed: boolean) => void,
  ) {
    this.saver = new Saver(async (changes) => server.change(await this.ensure(), changes), onFailure);
  }

  /** The id, after creating the conversation where it is not there yet. */
  async ensure(): Promise<Id> {
    if (this.id !== null) return this.id;
    this.#creating ??= this.create();
    try {
      this.id = await this.#creating;
      return this.id;
    } finally {
      this.#creating = null;
    }
  }
}
