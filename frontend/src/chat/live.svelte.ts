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
  readonly since = performance.now();

  constructor(
    readonly ref: string,
    readonly conversation: Id | null,
    /** The messages as they were, and what was typed: both come back if the server refuses. */
    readonly before: Message[],
    readonly typed: string | null,
  ) {}
}
