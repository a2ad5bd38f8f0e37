/** Sends messages and turns the server's frames into the answer on the screen. */
import { t } from "../i18n";
import { newId } from "./encoding";
import { isChangedElsewhere, server } from "./http";
import { LiveRun } from "./live.svelte";
import type { Picture } from "./pictures";
import type { Session } from "./session.svelte";
import { isShortage, whatRanOut } from "./shortage";
import type { Connection } from "./socket";
import type { ApiError, ClientFrame, Conversation, Id, Message, NewMessage, ServerFrame } from "./types";

/** What a person is asking with; it comes back if the server refuses. */
interface Typed {
  text: string;
  pictures: Picture[];
}

type Frame<Type extends ServerFrame["type"]> = Extract<ServerFrame, { type: Type }>;

export class Answering {
  live = $state<LiveRun | null>(null);
  /** What a screen reader is told: one sentence at a time, and the whole answer once. */
  announcement = $state("");

  #isPaintDue = false;
  /** The version that another tab made of the conversation, while this side was busy with its own. */
  #missed = 0;

  constructor(readonly session: Session) {
    session.page.listeners.add(this);
  }

  /** Hears nothing more: its column is closed. */
  close(): void {
    this.session.page.listeners.delete(this);
  }

  /** Sends a message, or an edited one beside `replaces`. */
  async send(content: string, replaces: Id | null = null, pictures: Picture[] = []): Promise<void> {
    const { messages, page } = this.session;
    const at = replaces === null ? messages.length : this.#indexOf(replaces);
    const question = localMessage("user", content, "complete");
    // An edited message keeps the pictures that it had.
    const kept = replaces === null ? [] : (messages[at]?.images ?? []);
    question.images = kept;
    const typed = { text: content, pictures };
    await this.#ask(at, [question], typed, async (ref, conversation) => {
      const images = [...kept];
      for (const picture of pictures) images.push(await server.keepPicture(conversation, picture));
      const { version: seen } = this.session;
      return { type: "send", ref, conversation, content: content.toWellFormed(), replaces, seen, tab: page.tab.id, images };
    });
  }

  /** Has the conversation answered as it stands; an answer at its end is gone on with. */
  async answer(): Promise<void> {
    const { messages } = this.session;
    const at = messages.at(-1)?.role === "assistant" ? messages.length - 1 : messages.length;
    await this.#ask(at, [], null, async (ref, conversation) => {
      return { type: "answer", ref, conversation, seen: this.session.version };
    });
  }

  /** Adds a turn without asking for an answer, or writes one anew beside another. Tells whether it worked. */
  async add(message: NewMessage, pictures: Picture[] = []): Promise<boolean> {
    const { session } = this;
    if (this.live) return false;
    session.problem = null;
    session.notice = "";
    try {
      const id = await session.saved();
      const images = [...(message.images ?? [])];
      for (const picture of pictures) images.push(await server.keepPicture(id, picture));
      const { version: seen, page } = session;
      this.adopt(await server.addMessage(id, { ...message, images, seen, tab: page.tab.id }), false);
      session.touch(false);
      return true;
    } catch (failure) {
      if (isChangedElsewhere(failure)) await this.#changedElsewhere();
      else session.fail(failure);
      return false;
    }
  }

  /** Asks for another answer beside this one. */
  async regenerate(message: Id): Promise<void> {
    const at = this.#indexOf(message);
    await this.#ask(at, [], null, async (ref, conversation) => {
      return { type: "regenerate", ref, conversation, message, seen: this.session.version };
    });
  }

  stop(): void {
    const live = this.live;
    if (!live || live.phase === "stopping") return;
    live.phase = "stopping";
    if (live.run) this.session.page.send({ type: "stop", run: live.run });
  }

  /** Shows a conversation and follows the answer that it is being given. */
  adopt(conversation: Conversation, isStep = true): void {
    this.live = null;
    this.session.show(conversation, isStep);
    if (conversation.running) this.follow(conversation.running);
  }

  follow(run: string): void {
    this.live = new LiveRun("", this.session.id, this.session.messages, null);
    this.live.run = run;
    this.live.phase = "waiting";
    this.session.page.send({ type: "attach", run, after: 0 });
  }

  async opened(isAgain: boolean): Promise<void> {
    if (isAgain) this.session.retrySaving();
    const live = this.live;
    if (live?.run) this.session.page.send({ type: "attach", run: live.run, after: live.text.last });
    else if (live?.unsent) {
      if (this.session.page.send(live.unsent)) live.unsent = null;
    } else if (live && isAgain) await this.#findOut(live);
  }

  changed(connection: Connection): void {
    if (connection === "revoked") this.#revoked(null);
  }

  /** Credits that came make an earlier refusal for the lack of them old. */
  credited(): void {
    if (isShortage(this.session.problem)) this.session.problem = null;
  }

  receive(frame: ServerFrame): void {
    const live = this.live;
    if (frame.type === "balance") return;
    if (frame.type === "changed") this.#changed(frame);
    else if (frame.type === "revoked") this.#revoked(frame.error.code);
    else if (frame.type === "failed") this.#failed(frame);
    else if (frame.type === "started") this.#started(frame);
    else if (!live || live.run !== frame.run) return;
    else if (frame.type === "queued") this.#queued(live, frame);
    else if (frame.type === "chunks") this.#chunks(live, frame);
    else this.#ended(frame.message);
  }

  async #ask(at: number, added: Message[], typed: Typed | null, frame: (ref: string, id: Id) => Promise<ClientFrame>): Promise<void> {
    const { session } = this;
    if (this.live || !session.mayCall) return;
    const live = new LiveRun(newId(), session.id, session.messages, typed?.text ?? null, typed?.pictures);
    this.live = live;
    session.problem = null;
    session.notice = "";
    session.page.undoable = null;
    session.messages = [...session.messages.slice(0, at), ...added, localMessage("assistant", "", "running")];
    this.announcement = t.waiting;
    try {
      // What is asked for is what the screen shows: settings that cannot be saved keep the message back.
      const id = await session.saved();
      const request = await frame(live.ref, id);
      if (this.live === live && !session.page.send(request)) live.unsent = request;
    } catch (failure) {
      this.#giveBack(live);
      session.fail(failure);
    }
  }

  /** The connection broke between sending and hearing of it: the server knows whether the message arrived. */
  async #findOut(live: LiveRun): Promise<void> {
    const { id, version } = this.session;
    if (id === null) return;
    let conversation: Conversation;
    try {
      conversation = await server.read(id);
    } catch (failure) {
      this.#giveBack(live);
      this.session.fail(failure);
      return;
    }
    if (this.live !== live) return;
    const asked = conversation.messages.findLast((message) => message.role === "user");
    const arrived = conversation.version !== version && (live.typed === null || asked?.content === live.typed);
    this.adopt(conversation, false);
    if (live.typed !== null && !arrived) {
      this.session.returnDraft(live.typed);
      this.session.pictures = [...live.pictures, ...this.session.pictures];
      this.session.notice = t.lostSend;
    }
  }

  #changed(frame: Frame<"changed">): void {
    const { session } = this;
    if (frame.conversation !== session.id) return;
    if (frame.version === 0) this.#gone();
    else if (frame.version > session.version) {
      this.#missed = frame.version;
      void this.#catchUp();
    }
  }

  /** Shows what another tab did, unless this side is asking: then it is shown, or refused, with the answer to that. */
  async #catchUp(): Promise<void> {
    const { session } = this;
    const isAsking = () => this.live?.run === null;
    if (isAsking() || this.#missed <= session.version) return;
    try {
      const conversation = await session.refresh(() => !isAsking());
      if (!conversation) return;
      if (this.live && this.live.run !== conversation.running) this.live = null;
      if (conversation.running && !this.live) this.follow(conversation.running);
    } catch (failure) {
      session.fail(failure);
    }
  }

  /** Another tab deleted the conversation; what was typed here goes on in a new one. */
  #gone(): void {
    const { session } = this;
    const { draft } = session;
    this.live = null;
    session.startNew(false);
    if (draft) session.change({ draft });
    session.notice = t.deletedElsewhere;
  }

  /** Nothing can be asked or heard any more, and the server ends what it was answering here. */
  #revoked(code: string | null): void {
    const { live, session } = this;
    session.page.revocation ??= code ?? "access_ended";
    if (live && !live.run) this.#giveBack(live);
    const message = session.messages.at(-1);
    if (!this.live || !message) return;
    this.live = null;
    message.state = "stopped";
    this.announcement = t.stopped;
  }

  #started(frame: Frame<"started">): void {
    const { live, session } = this;
    if (live?.ref !== frame.ref) return;
    live.run = frame.run;
    const kept = session.messages.slice(0, frame.user ? -2 : -1);
    session.messages = [...kept, ...(frame.user ? [frame.user] : []), frame.message];
    session.title = frame.title;
    session.version = frame.version;
    session.touch(true);
    if (live.phase === "stopping") session.page.send({ type: "stop", run: frame.run });
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
    if (outcome === "gap") this.session.page.send({ type: "attach", run: frame.run, after: live.text.last });
    // After Stop the screen stands still at once; the server's last word brings what came in between.
    if (outcome !== "grown" || live.phase === "stopping") return;
    if (live.phase !== "streaming") this.announcement = t.streamingStatus;
    live.phase = "streaming";
    live.noted();
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
      message.content = message.prefill + live.text.content;
      message.reasoning = live.text.reasoning;
      if (live.text.toolCalls.length) message.tool_calls = live.text.toolCalls.map((call) => ({ ...call, function: { ...call.function } }));
    });
  }

  #ended(message: Message): void {
    const thought_ms = this.live?.thoughtMilliseconds ?? null;
    this.#end();
    this.#replace({ ...message, thought_ms });
    this.announcement = message.content ? t.answered(message.content) : t.stopped;
  }

  #end(): void {
    this.live = null;
    this.session.touch(false);
    void this.#catchUp();
  }

  #failed(frame: Frame<"failed">): void {
    const live = this.live;
    if (!live || !isOf(frame, live)) {
      // A frame that could not even be read names no request; one that has not been heard of yet must be it.
      if (frame.ref !== null || frame.run !== null) return;
      this.session.problem = frame.error;
      if (live && !live.run && !live.unsent) this.#giveBack(live);
      return;
    }
    this.announcement = isShortage(frame.error)
      ? whatRanOut(frame.error, this.session.page.team)
      : `${t.errorTitle}. ${frame.error.message}`;
    if (frame.message) {
      this.#end();
      this.#replace(frame.message);
    } else if (live.ref === "") void this.#reread(live, frame.error);
    else {
      this.#giveBack(live, frame.draft);
      if (frame.error.code === "conversation_changed") void this.#changedElsewhere();
      else this.session.problem = frame.error;
    }
  }

  /** Nothing was sent, because the page did not show what is there: now it does, and asks. */
  async #changedElsewhere(): Promise<void> {
    this.#missed = this.session.version + 1;
    await this.#catchUp();
    this.session.notice = t.changedElsewhere;
  }

  /** Refused after a reload: what stood here before it was asked is known to the server alone. */
  async #reread(live: LiveRun, error: ApiError): Promise<void> {
    const { session } = this;
    if (session.id === null) return;
    try {
      const conversation = await server.read(session.id);
      if (this.live !== live) return;
      const typed = session.draft;
      this.adopt(conversation, false);
      const parts = typed === conversation.draft ? [typed] : [conversation.draft, typed];
      session.change({ draft: parts.filter(Boolean).join("\n\n") });
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
    this.session.touch(false);
    if (draft !== null) this.session.returnDraft(draft);
    if (live.pictures.length) this.session.pictures = [...live.pictures, ...this.session.pictures];
    void this.#catchUp();
  }

  /** Puts the server's last word in place; a message that was deleted meanwhile stays deleted. */
  #replace(message: Message): void {
    const at = this.session.messages.findIndex(({ id }) => id === message.id);
    const before = this.session.messages[at];
    if (!before) return;
    const recovered = whatIsKnown(before, message);
    this.session.messages[at] = { ...recovered, versions: before.versions };
    if (recovered !== message && this.session.id !== null) void server.recover(this.session.id, recovered).catch(() => {});
  }

  #indexOf(id: Id): number {
    const at = this.session.messages.findIndex((message) => message.id === id);
    return at < 0 ? this.session.messages.length : at;
  }
}

/** Of an answer whose server was killed, the page may have read more than was written down: that stays. */
function whatIsKnown(shown: Message, written: Message): Message {
  const isLonger = shown.content.startsWith(written.content) && shown.reasoning.startsWith(written.reasoning);
  const isMore = shown.content.length + shown.reasoning.length > written.content.length + written.reasoning.length;
  if (written.run?.ending !== "lost" || !isLonger || !isMore) return written;
  return { ...written, content: shown.content, reasoning: shown.reasoning };
}

function isOf(frame: Frame<"failed">, live: LiveRun): boolean {
  return (frame.ref !== null && frame.ref === live.ref) || (frame.run !== null && frame.run === live.run);
}

let locals = 0;

/** A message before the server has given it an id. */
function localMessage(role: Message["role"], content: string, state: Message["state"]): Message {
  locals += 1;
  const id = `local-${locals}`;
  return {
    id, role, content, reasoning: "", state, run: null, error: null, versions: [id],
    tool_calls: [], tool_call_id: "", logprobs: [], images: [], prefill: "",
  };
}
