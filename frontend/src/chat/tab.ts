/** Which tab this is: its draft of a conversation is its own, over reloads. */
import { newId } from "./encoding";

const KEY = "tab";

export class Tab {
  id = readId();
  readonly #channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("playground-tabs");

  /** A duplicated tab begins with the other's id; the one that was there first says so, and this one takes another. */
  constructor() {
    writeId(this.id);
    const token = newId();
    this.#channel?.addEventListener("message", ({ data }) => {
      if (data.id !== this.id || data.token === token) return;
      if (data.isAsking) this.#channel?.postMessage({ id: this.id, token, isAsking: false });
      else writeId((this.id = newId()));
    });
    this.#channel?.postMessage({ id: this.id, token, isAsking: true });
  }
}

function readId(): string {
  try {
    return sessionStorage.getItem(KEY) ?? newId();
  } catch {
    return newId();
  }
}

function writeId(id: string): void {
  try {
    sessionStorage.setItem(KEY, id);
  } catch {
    // Storage is switched off: a reload counts as another tab.
  }
}
