import type { Chunk, TokenLogprob, ToolCall } from "./types";

/**
 * The text of one run, put together from numbered chunks. Chunks may arrive twice (after a reconnect) or with a hole
 * before them (never in order to show a gap): a known number is dropped, and a hole is asked for again.
 */
export class RunText {
  content = "";
  reasoning = "";
  toolCalls: ToolCall[] = [];
  logprobs: TokenLogprob[] = [];
  /** The tokens so far; as long as the engine does not count along, its chunks stand in for them. */
  tokens = 0;
  isCounted = false;
  /** The number of the last chunk that is part of the text; the first chunk has number 1. */
  last = 0;

  /** Takes what is new and in order. "gap" means: attach again after `last`. */
  accept(from: number, chunks: Chunk[]): "grown" | "known" | "gap" {
    if (from > this.last + 1) return "gap";
    const fresh = chunks.slice(this.last + 1 - from);
    for (const chunk of fresh) {
      this.content += chunk.content ?? "";
      this.reasoning += chunk.reasoning ?? "";
      for (const delta of chunk.tool_calls ?? []) {
        const call = (this.toolCalls[delta.index] ??= { id: `call_${delta.index}`, type: "function", function: { name: "", arguments: "" } });
        call.id = delta.id ?? call.id;
        call.function.name += delta.function?.name ?? "";
        call.function.arguments += delta.function?.arguments ?? "";
      }
      this.logprobs.push(...(chunk.logprobs ?? []));
      this.isCounted ||= chunk.tokens !== undefined;
      if (chunk.tokens !== undefined) this.tokens = chunk.tokens;
      else if (!this.isCounted) this.tokens += 1;
    }
    this.last += fresh.length;
    return fresh.length ? "grown" : "known";
  }
}
