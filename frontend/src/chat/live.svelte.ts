import type { Picture } from "./pictures";
import { RunText } from "./stream";
import type { ClientFrame, Id, Message } from "./types";

export type Phase = "sending" | "queued" | "waiting" | "streaming" | "stopping";

/** The answer that is on its way in the open conversation. */
export class LiveRun {
  phase = $state<Phase>("sending");
  position = $state(0);
  /** About how long the queue takes; null before its pace is known. */
  queueSeconds = $state<number | null>(null);
  run: string | null = null;
  /** Not yet on the wire: sent when the socket opens. */
  unsent: ClientFrame | null = null;
  readonly text = new RunText();
  /** When the first token was read, and the first that is not a thought. */
  begunAt: number | null = null;
  spokenAt: number | null = null;
  readonly since = performance.now();

  constructor(
    readonly ref: string,
    readonly conversation: Id | null,
    /** The messages as they were, and what was typed: both come back if the server refuses. */
    readonly before: Message[],
    readonly typed: string | null,
    readonly pictures: Picture[] = [],
  ) {}

  /** How long the model thought before it spoke, in milliseconds; null where it did not, or has not finished. */
  get thoughtMilliseconds(): number | null {
    return this.text.reasoning && this.begunAt !== null && this.spokenAt !== null ? this.spokenAt - this.begunAt : null;
  }

  /** Notes the moments of what has just been read. */
  noted(): void {
    const now = performance.now();
    this.begunAt ??= now;
    if (this.text.content || this.text.toolCalls.length) this.spokenAt ??= now;
  }
}
