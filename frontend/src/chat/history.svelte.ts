/** The conversations of the open project: the latest first, more as one goes down, and those in which words are found. */
import { server } from "./http";
import type { ConversationSummary, HistoryPage, Id } from "./types";

const SEARCH_DELAY_MILLISECONDS = 250;
/** A search looks into a part of all conversations at once; it goes on by itself until there is this much to see. */
const ENOUGH_FOUND = 20;

export class History {
  items = $state.raw<ConversationSummary[]>([]);
  search = $state("");
  isLoading = $state(false);
  /** Whether more follow those that are listed. */
  hasMore = $state(false);
  failed = $state(false);
  #cursor: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts what was asked for, so that a late answer to an earlier question is dropped. */
  #asked = 0;

  constructor(
    readonly project: () => string,
    page: HistoryPage,
  ) {
    this.#show([], page);
  }

  /** Looks for words, a moment after the last of them was typed. */
  find(text: string): void {
    this.search = text;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.reload(), SEARCH_DELAY_MILLISECONDS);
  }

  /** Reads the list anew from its beginning. */
  async reload(): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.project()) this.#show([], { conversations: [], cursor: null });
    else await this.#read([], null);
  }

  async more(): Promise<void> {
    if (this.hasMore && !this.isLoading) await this.#read(this.items, this.#cursor);
  }

  /** Puts a conversation first, as the one that was changed last; a search is not disturbed by it. */
  touch(item: Omit<ConversationSummary, "updated_at" | "snippet" | "has_columns">): void {
    const known = this.items.find(({ id }) => id === item.id);
    if (this.search && !known) return;
    const fresh = { snippet: "", has_columns: false, ...known, ...item, updated_at: new Date().toISOString() };
    this.items = [fresh, ...this.items.filter(({ id }) => id !== item.id)];
  }

  change(id: Id, changes: Partial<ConversationSummary>): void {
    this.items = this.items.map((item) => (item.id === id ? { ...item, ...changes } : item));
  }

  remove(id: Id): void {
    this.items = this.items.filter((item) => item.id !== id);
  }

  async #read(before: ConversationSummary[], cursor: string | null): Promise<void> {
    const asked = ++this.#asked;
    this.isLoading = true;
    this.failed = false;
    try {
      const known = before.length;
      let page: HistoryPage = { conversations: before, cursor };
      do {
        page = await server.list(this.project(), page.cursor, this.search.trim());
        if (asked !== this.#asked) return;
        this.#show(before, page);
        before = this.items;
      } while (page.cursor !== null && this.search.trim() && before.length - known < ENOUGH_FOUND);
    } catch {
      if (asked === this.#asked) this.failed = true;
    } finally {
      if (asked === this.#asked) this.isLoading = false;
    }
  }

  #show(before: ConversationSummary[], page: HistoryPage): void {
    // One that was touched meanwhile moved up, and is in the next page no more, or once again.
    const known = new Set(before.map(({ id }) => id));
    this.items = [...before, ...page.conversations.filter(({ id }) => !known.has(id))];
    this.#cursor = page.cursor;
    this.hasMore = page.cursor !== null;
  }
}
