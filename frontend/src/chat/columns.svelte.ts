/** The conversations that stand side by side: one as a rule, several where models are compared. */
import { Answering } from "./answering.svelte";
import { Conversations } from "./conversations";
import { server } from "./http";
import type { Page } from "./page.svelte";
import type { Picture } from "./pictures";
import { Session } from "./session.svelte";
import type { Conversation, Id, Role } from "./types";

/** How many columns a person can open; more do not fit a screen. */
export const MAX_COLUMNS = 4;

export class Column {
  readonly answering: Answering;
  readonly conversations: Conversations;
  /** The message that is being edited. */
  editing = $state<Id | null>(null);
  /** Shows the end of the conversation; its box sets this. */
  toEnd: () => void = () => {};

  constructor(readonly session: Session) {
    this.answering = new Answering(session);
    this.conversations = new Conversations(session, this.answering);
  }

  /** Adds a turn without asking for an answer; what was typed comes back where that fails. */
  async add(role: Role, content: string, pictures: Picture[]): Promise<void> {
    const { session } = this;
    const draft = session.draft === content ? session.takeDraft() : "";
    this.toEnd();
    if (await this.answering.add({ role, content, is_draft: draft !== "" }, pictures)) return;
    if (draft) session.returnDraft(draft);
    session.pictures = [...pictures, ...session.pictures];
  }

  /** Saves what waits, and hears nothing more. */
  close(): void {
    this.session.leave();
    this.answering.close();
  }
}

export class Columns {
  /** The column that the address names, and that stays when there is no other. */
  readonly main: Column;
  list = $state.raw<Column[]>([]);
  /** Whose settings are shown. */
  chosen = $state.raw<Column>() as Column;
  /** Whether one message goes to all columns. */
  isShared = $state(true);

  constructor(
    readonly page: Page,
    conversation: Conversation | null,
  ) {
    this.main = new Column(new Session(page, conversation, (ids) => void this.#show(ids)));
    this.list = [this.main];
    this.chosen = this.main;
    if (conversation) void this.#show(conversation.columns);
  }

  get isAlone(): boolean {
    return this.list.length === 1;
  }

  /** A model to compare with: one that answers and is in no column yet, else the same again. */
  get nextModel(): string {
    const used = new Set(this.list.map(({ session }) => session.model));
    return this.page.models.find(({ id, health }) => health !== "down" && !used.has(id))?.id ?? this.main.session.model;
  }

  /** The ids of all conversations that are open. */
  get ids(): Id[] {
    return this.list.flatMap(({ session }) => (session.id === null ? [] : [session.id]));
  }

  get isBusy(): boolean {
    return this.list.some(({ answering }) => answering.live !== null);
  }

  get mayAdd(): boolean {
    return this.list.length < MAX_COLUMNS && !this.isBusy && this.main.session.mayCall;
  }

  /** Sets a column beside the others for each model. */
  async add(models: string[]): Promise<void> {
    const { session } = this.main;
    try {
      const columns = await server.addColumns(await session.saved(), models);
      session.version = columns.find(({ id }) => id === session.id)?.version ?? session.version;
      this.#arrange(columns);
      this.chosen = this.list.at(-1) ?? this.main;
      session.touch(this.isBusy);
    } catch (failure) {
      session.fail(failure);
    }
  }

  /** Takes a column away; it can be brought back. */
  async remove(column: Column): Promise<void> {
    const { id } = column.session;
    if (id === null) return;
    const rest = this.list.filter((other) => other !== column);
    if (column === this.main) {
      // The address goes on to the next one, and this column shows it.
      await this.main.conversations.removeColumn(id, rest[0]?.session.id ?? null);
      return;
    }
    column.close();
    this.list = rest;
    this.#choose();
    await this.main.conversations.removeColumn(id, null);
  }

  /** Goes on with one column alone; the others stay in the history. */
  async keep(column: Column): Promise<void> {
    const { id } = column.session;
    if (id === null) return;
    await column.session.saved().catch(() => {});
    await this.main.conversations.goOnAlone(id);
  }

  /** Sends one message to every column that can take it. */
  send(text: string, pictures: Picture[]): void {
    for (const column of this.list) {
      if (column !== this.main && column.session.draft.trim() === text.trim()) column.session.takeDraft();
      column.toEnd();
      void column.answering.send(text, null, pictures);
    }
  }

  /** Adds one turn to every column, without asking. */
  addTurn(role: Role): void {
    const { draft } = this.main.session;
    // Only a person shows pictures; with any other turn they wait for the next message.
    const pictures = role === "user" ? this.main.session.takePictures() : [];
    for (const column of this.list) void column.add(role, draft, pictures);
  }

  stop(): void {
    for (const { answering } of this.list) answering.stop();
  }

  leavePage(): void {
    for (const { session } of this.list) session.leavePage();
  }

  retrySaving(): void {
    for (const { session } of this.list) session.retrySaving();
  }

  /** Shows the columns of the conversation that is open. */
  async #show(ids: Id[]): Promise<void> {
    // The first conversation is shown while there is no column for it yet.
    if (!this.list.length) return;
    const { session } = this.main;
    const { id } = session;
    if (sameIds(ids, this.ids) || (ids.length <= 1 && this.isAlone)) return;
    if (ids.length <= 1) return this.#arrange([]);
    try {
      const columns = await server.columns(id ?? ids[0]!);
      if (session.id === id) this.#arrange(columns);
    } catch (failure) {
      session.fail(failure);
    }
  }

  #arrange(columns: Conversation[]): void {
    const known = new Map([...this.list, this.main].map((column) => [column.session.id, column]));
    const wanted = columns.map((conversation) => known.get(conversation.id) ?? this.#opened(conversation));
    if (!wanted.includes(this.main)) wanted.unshift(this.main);
    for (const column of this.list) if (!wanted.includes(column)) column.close();
    this.list = wanted;
    this.#choose();
  }

  #opened(conversation: Conversation): Column {
    const column = new Column(new Session(this.page, conversation, null));
    if (conversation.running) column.answering.follow(conversation.running);
    return column;
  }

  #choose(): void {
    if (!this.list.includes(this.chosen)) this.chosen = this.main;
  }
}

function sameIds(these: Id[], those: Id[]): boolean {
  return these.length === those.length && these.every((id, at) => id === those[at]);
}
