/** Sends messages and turns the server's frames into the answer on the screen. */
import { t } from "../i18n";
import { HttpError, server } from "./http";
import { LiveRun } from "./live.svelte";
import type { Session } from "./session.svelte";
import { isShortage, whatRanOut } from "./shortage";
import { Socket } from "./socket";
import type { ApiError, ClientFrame, Conversation, Id, Message, ServerFrame } from "./types";

type Frame<Type extends ServerFrame["type"]> = Extract<ServerFrame, { type: Type }>;

export class Answering {
  live = $state<LiveRun | null>(null);
  /** What a screen reader is told: one sentence at a time, and the whole answer once. */
  announcement = $state("");

  readonly #socket: Socket;
  #isPaintDue = false;

  constructor(readonly session: Session) {
    this.#socket = new Socket({
      frame: (frame) => this.#receive(frame),
      opened: (isAgain) => void this.#opened(isAgain),
      changed: (connection) => {
        session.connection = connection;
        if (connection === "revoked") this.#revoked(null);
        if (connection === "lost") void this.#checkAccess();
      },
    });
  }

  connect(running: string | null): void {
    if (running) this.#follow(running);
    this.#socket.connect();
  }

  hurry(): void {
    this.#socket.hurry();
  }

  watch(): void {
    if (!this.session.project) return;
    this.#socket.send({ type: "watch", project: this.session.project });
  }

  /** Sends a message, or an edited one in place of `replaces` and everything after it. */
  async send(content: string, replaces: Id | null = null): Promise<void> {
    const at = replaces === null ? this.session.messages.length : this.#indexOf(replaces);
    const question = localMessage("user", content, "complete");
    await this.#ask(at, [question], content, (ref, conversation) => ({ type: "send", ref, conversation, content, replaces }));
  }

  /** Asks for another answer in place of this one and everything after it. */
  async regenerate(message: Id): Promise<void> {
    const at = this.#indexOf(message);
    await this.#ask(at, [], null, (ref, conversation) => ({ type: "regenerate", ref, conversation, message }));
  }

  stop(): void {
    const live = this.live;
    if (!live || live.phase === "stopping") return;
    live.phase = "stopping";
    if (live.run) this.#socket.send({ type: "stop", run: live.run });
  }

  /** Shows a conversation and follows the answer that it is being given. */
  adopt(conversation: Conversation): void {
    this.live = null;
    this.session.show(conversation);
    if (conversation.running) this.#follow(conversation.running);
  }

  async #ask(at: number, added: Message[], typed: string | null, frame: (ref: string, id: Id) => ClientFrame): Promise<void> {
    const { session } = this;
    if (this.live || !session.mayCall) return;
    const live = new LiveRun(crypto.randomUUID?.() ?? String(Math.random()), session.id, session.messages, typed);
    this.live = live;
    session.problem = null;
    session.notice = "";
    session.messages = [...session.messages.slice(0, at), ...added, localMessage("assistant", "", "running")];
    this.announcement = t.waiting;
    try {
      const id = await session.saved();
      const request = frame(live.ref, id);
      if (this.live === live && !this.#socket.send(request)) live.unsent = request;
    } catch (failure) {
      this.#giveBack(live);
      session.fail(failure);
    }
  }

  #follow(run: string): void {
    this.live = new LiveRun("", this.session.id, this.session.messages, null);
    this.live.run = run;
    this.live.phase = "waiting";
    this.#socket.send({ type: "attach", run, after: 0 });
  }

  async #opened(isAgain: boolean): Promise<void> {
    this.watch();
    const live = this.live;
    if (live?.run) this.#socket.send({ type: "attach", run: live.run, after: live.text.last });
    else if (live?.unsent) {
      if (this.#socket.send(live.unsent)) live.unsent = null;
    } else if (live && isAgain) await this.#findOut(live);
  }

  /** A refused handshake does not say why; an ordinary request does. */
  async #checkAccess(): Promise<void> {
    try {
      this.session.balance = await server.balance(this.session.project);
    } catch (failure) {
      // Without a project there is nothing to look into, and only a lost login says anything.
      const telling = this.session.project ? [401, 403, 404] : [401];
      if (!(failure instanceof HttpError) || !telling.includes(failure.status)) return;
      this.#revoked(failure.error.code);
      this.#socket.giveUp();
    }
  }

  /** The connection broke between sending and hearing of it: the server knows whether the message arrived. */
  async #findOut(live: LiveRun): Promise<void> {
    const id = this.session.id;
    if (id === null) return;
    const conversation = await server.read(id);
    if (this.live !== live) return;
    const asked = conversation.messages.findLast((message) => message.role === "user");
    this.adopt(conversation);
    if (live.typed !== null && !conversation.running && asked?.content !== live.typed) {
      this.session.returnDraft(live.typed);
      this.session.notice = t.lostSend;
    }
  }

  #receive(frame: ServerFrame): void {
    const live = this.live;
    if (frame.type === "balance") {
      this.session.receiveBalance(frame);
    } else if (frame.type === "revoked") this.#revoked(frame.error.code);
    else if (frame.type === "failed") this.#failed(frame);
    else if (frame.type === "started") this.#started(frame);
    else if (!live || live.run !== frame.run) return;
    else if (frame.type === "queued") this.#queued(live, frame);
    else if (frame.type === "chunks") this.#chunks(live, frame);
    else this.#ended(frame.message);
  }

  /** Nothing can be asked or heard any more, and the server ends what it was answering here. */
  #revoked(code: string | null): void {
    const { live, session } = this;
    session.revocation ??= code ?? "access_ended";
    if (live && !live.run) this.#giveBack(live);
    const message = session.messages.at(-1);
    if (!this.live || !message) return;
    this.live = null;
    message.state = "stopped";
    this.announcement = t.stopped;
  }

  #started(frame: Frame<"started">): void {
    const live = this.live;
    if (live?.ref !== frame.ref) return;
    live.run = frame.run;
    const kept = this.session.messages.slice(0, frame.user ? -2 : -1);
    this.session.messages = [...kept, ...(frame.user ? [frame.user] : []), frame.message];
    this.session.title = frame.title;
    this.session.touch();
    if (live.phase === "stopping") this.#socket.send({ type: "stop", run: frame.run });
    else live.phase = "waiting";
  }

  #queued(live: LiveRun, frame: Frame<"queued">): void {
    if (live.phase === "stopping") return;
    live.phase = "queued";
    live.position = frame.position;
    live.queueSeconds = frame.wait_seconds;
  }

  #chunks(live: LiveRun, frame: Frame<"chunks">): void {
    const outcome = live.text.accept(frame.from, frame.chunks);
    if (outcome === "gap") this.#socket.send({ type: "attach", run: frame.run, after: live.text.last });
    // After Stop the screen stands still at once; the server's last word brings what came in between.
    if (outcome !== "grown" || live.phase === "stopping") return;
    if (live.phase !== "streaming") this.announcement = t.streamingStatus;
    live.phase = "streaming";
    this.#paint(live);
  }

  /** One change of the screen for each frame that the display draws, however many tokens came. */
  #paint(live: LiveRun): void {
    if (this.#isPaintDue) return;
    this.#isPaintDue = true;
    requestAnimationFrame(() => {
      this.#isPaintDue = false;
      const message = this.session.messages.at(-1);
      if (this.live !== live || live.phase === "stopping" || message?.state !== "running") return;
      message.content = live.text.content;
      message.reasoning = live.text.reasoning;
    });
  }

  #ended(message: Message): void {
    this.live = null;
    this.#replace(message);
    this.announcement = message.content ? t.answered(message.content) : t.stopped;
  }

  #failed(frame: Frame<"failed">): void {
    const live = this.live;
    const isOurs = live !== null && ((frame.ref !== null && frame.ref === live.ref) || (frame.run !== null && frame.run === live.run));
    if (!isOurs) {
      if (frame.ref === null && frame.run === null) this.session.problem = frame.error;
      return;
    }
    this.announcement = isShortage(frame.error)
      ? whatRanOut(frame.error, this.session.team)
      : `${t.errorTitle}. ${frame.error.message}`;
    if (frame.message) {
      this.live = null;
      this.#replace(frame.message);
    } else if (live.ref === "") void this.#reread(live, frame.error);
    else {
      this.session.problem = frame.error;
      this.#giveBack(live, frame.draft);
    }
  }

  /** Refused after a reload: what stood here before it was asked is known to the server alone. */
  async #reread(live: LiveRun, error: ApiError): Promise<void> {
    const { session } = this;
    if (session.id === null) return;
    try {
      const conversation = await server.read(session.id);
      if (this.live !== live) return;
      const typed = session.draft;
      this.adopt(conversation);
      if (typed && typed !== conversation.draft) session.change({ draft: [conversation.draft, typed].filter(Boolean).join("\n\n") });
    } catch (failure) {
      this.live = null;
      session.fail(failure);
    }
    session.problem = error;
  }

  /** The server refused: everything is as it was, and nothing that was typed is lost. */
  #giveBack(live: LiveRun, draft: string | null = live.typed): void {
    if (this.live !== live) return;
    this.live = null;
    this.session.messages = live.before;
    if (draft !== null) this.session.returnDraft(draft);
  }

  /** Puts the server's last word in place; a message that was deleted meanwhile stays deleted. */
  #replace(message: Message): void {
    const at = this.session.messages.findIndex(({ id }) => id === message.id);
    if (at >= 0) this.session.messages[at] = message;
  }

  #indexOf(id: Id): number {
    const at = this.session.messages.findIndex((message) => message.id === id);
    return at < 0 ? this.session.messages.length : at;
  }
}

let locals = 0;

/** A message before the server has given it an id. */
function localMessage(role: Message["role"], content: string, state: Message["state"]): Message {
  locals += 1;
  return { id: `local-${locals}`, role, content, reasoning: "", state, run: null, error: null };
}
