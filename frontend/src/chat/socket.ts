import { encode } from "./encoding";
import type { ClientFrame, ServerFrame } from "./types";

export type Connection = "connecting" | "open" | "lost" | "revoked";

const FIRST_DELAY_MILLISECONDS = 250;
const LONGEST_DELAY_MILLISECONDS = 8_000;
const REVOKED_CODE = 4403;

interface Listener {
  frame(frame: ServerFrame): void;
  /** Called at each opening; `isAgain` after a loss. */
  opened(isAgain: boolean): void;
  changed(connection: Connection): void;
}

/** The WebSocket, kept open: after a loss it comes back by itself, soon at first, then more patiently. */
export class Socket {
  #socket: WebSocket | null = null;
  #attempts = 0;
  #wasOpen = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isRevoked = false;

  constructor(readonly listener: Listener) {}

  connect(): void {
    clearTimeout(this.#timer);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws/playground`);
    this.#socket = socket;
    socket.addEventListener("open", () => {
      this.#attempts = 0;
      this.listener.changed("open");
      this.listener.opened(this.#wasOpen);
      this.#wasOpen = true;
    });
    socket.addEventListener("message", (event) => this.listener.frame(JSON.parse(event.data) as ServerFrame));
    socket.addEventListener("close", (event) => this.#closed(event.code));
  }

  /** Sends now, or says that it cannot. */
  send(frame: ClientFrame): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(encode(frame));
    return true;
  }

  /** Tries at once: the network is back. */
  hurry(): void {
    if (this.#isRevoked || this.#socket?.readyState === WebSocket.OPEN) return;
    if (this.#socket?.readyState !== WebSocket.CONNECTING) this.connect();
  }

  /** Gives up: whoever has no access gets no socket. */
  giveUp(): void {
    this.#isRevoked = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #closed(code: number): void {
    this.#isRevoked ||= code === REVOKED_CODE;
    this.listener.changed(this.#isRevoked ? "revoked" : "lost");
    if (this.#isRevoked) return;
    const delay = Math.min(FIRST_DELAY_MILLISECONDS * 2 ** this.#attempts, LONGEST_DELAY_MILLISECONDS);
    this.#attempts += 1;
    // Spread out, so that a restarted server does not meet everyone at the same moment.
    this.#timer = setTimeout(() => this.connect(), delay * (0.75 + Math.random() / 2));
  }
}
