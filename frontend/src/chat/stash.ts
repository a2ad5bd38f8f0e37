/** What a page that closes could not save any more, kept in its tab for the page that comes back. */
import type { Changes, Id } from "./types";

const key = (conversation: Id | null) => `unsaved-${conversation ?? "new"}`;

export function stash(conversation: Id | null, changes: Changes): void {
  if (Object.keys(changes).length === 0) return;
  try {
    sessionStorage.setItem(key(conversation), JSON.stringify(changes));
  } catch {
    // Storage is full or switched off: what the browser can still send is all that is saved.
  }
}

/** Returns what was kept, and keeps it no longer. */
export function unstash(conversation: Id | null): Changes {
  try {
    const kept = sessionStorage.getItem(key(conversation));
    sessionStorage.removeItem(key(conversation));
    return kept ? (JSON.parse(kept) as Changes) : {};
  } catch {
    return {};
  }
}
