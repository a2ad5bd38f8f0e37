/** What the whole page shares, whichever conversations it shows: projects, models, the history, the balance, the socket. */
import { History } from "./history.svelte";
import { Socket, type Connection } from "./socket";
import { Tab } from "./tab";
import type { Balance, CatalogueModel, ClientFrame, PageState, Parameters, Project, ServerFrame } from "./types";

/** Something that was done and can be undone. */
export interface Undoable {
  text: string;
  undo: () => Promise<unknown>;
}

interface Listener {
  receive(frame: ServerFrame): void;
  /** Called at each opening of the socket; `isAgain` after a loss. */
  opened(isAgain: boolean): void;
  changed(connection: Connection): void;
  /** Called when the team has more than before. */
  credited?(): void;
}

export class Page {
  readonly projects: Project[];
  readonly models: CatalogueModel[];
  readonly defaults: Parameters;
  readonly tab = new Tab();
  readonly history: History;
  readonly listeners = new Set<Listener>();

  project = $state("");
  balance = $state<Balance | null>(null);
  connection = $state<Connection>("connecting");
  isOnline = $state(navigator.onLine);
  /** Why nothing can be done here any more: the code of what the server said. */
  revocation = $state<string | null>(null);
  /** Whether a budget refuses whatever is asked. */
  isRefused = $state(false);
  undoable = $state.raw<Undoable | null>(null);

  readonly #socket: Socket;

  constructor(state: PageState) {
    this.projects = state.projects;
    this.models = state.models;
    this.defaults = state.defaults;
    this.project = state.project ?? "";
    this.history = new History(() => this.project, state.history);
    this.#socket = new Socket({
      frame: (frame) => this.#receive(frame),
      opened: (isAgain) => this.#each((listener) => listener.opened(isAgain)),
      changed: (connection) => {
        this.connection = connection;
        this.#each((listener) => listener.changed(connection));
      },
    });
  }

  get currentProject(): Project | undefined {
    return this.projects.find((project) => project.path === this.project);
  }

  get team(): string {
    return this.project.split("/")[0] ?? "";
  }

  get isRevoked(): boolean {
    return this.revocation !== null;
  }

  get mayCall(): boolean {
    return !this.isRevoked && (this.currentProject?.can_call ?? false);
  }

  get isOutOfCredits(): boolean {
    return this.balance !== null && BigInt(this.balance.balance_nano) <= 0n;
  }

  connect(): void {
    this.#socket.connect();
  }

  /** Sends now, or says that it cannot. */
  send(frame: ClientFrame): boolean {
    return this.#socket.send(frame);
  }

  /** Tries to connect at once: the network is back. */
  hurry(): void {
    this.#socket.hurry();
  }

  giveUp(): void {
    this.#socket.giveUp();
  }

  #receive(frame: ServerFrame): void {
    if (frame.type !== "balance") this.#each((listener) => listener.receive(frame));
    else if (frame.project === this.project) {
      const hasMore = this.balance !== null && BigInt(frame.balance_nano) > BigInt(this.balance.balance_nano);
      this.balance = frame;
      if (hasMore) this.#each((listener) => listener.credited?.());
    }
  }

  #each(tell: (listener: Listener) => void): void {
    for (const listener of [...this.listeners]) tell(listener);
  }
}
