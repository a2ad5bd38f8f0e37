import type { Chunk } from "./types";

/**
 * The text of one run, put together from numbered chunks. Chunks may arrive twice (after a reconnect) or with a hole
 * before them (never in order to show a gap): a known number is dropped, and a hole is asked for again.
 */
export class RunText {
  content = "";
  reasoning = "";
  /** The number of the last chunk that is part of the text; the first chunk has number 1. */
  last = 0;

  /** Takes what is new and in order. "gap" means: attach again after `last`. */
  accept(from: number, chunks: Chunk[]): "grown" | "known" | "gap" {
    if (from > this.last + 1) return "gap";
    const fresh = chunks.slice(this.last + 1 - from);
    for (const chunk of fresh) {
      this.content += chunk.content ?? "";
      this.reasoning += chunk.reasoning ?? "";
    }
    this.last += fresh.length;
    return fresh.length ? "grown" : "known";
  }
}
