/** One open conversation with its settings: what a column of the screen shows. */
import { show as showAddress, placeOf, type Place } from "./address";
import { server, shownError } from "./http";
import type { Page } from "./page.svelte";
import { merged } from "./parameters";
import type { Picture } from "./pictures";
import { unstash } from "./stash";
import { StoredConversation } from "./stored";
import type { ApiError, CatalogueModel, Changes, Code, Conversation, Id, Message, Parameters } from "./types";

/** English text in most tokenizers; a rule of thumb for what has not been counted yet. */
const CHARACTERS_PER_TOKEN = 4;

export class Session {
  id = $state<Id | null>(null);
  title = $state("");
  model = $state("");
  systemPrompt = $state("");
  parameters = $state<Parameters>({});
  draft = $state("");
  /** What other tabs left unsent in this conversation, by tab. */
  otherDrafts = $state.raw<[tab: string, text: string][]>([]);
  messages = $state<Message[]>([]);
  /** What is to be sent with the draft. */
  pictures = $state.raw<Picture[]>([]);
  isLoading = $state(false);
  saveFailed = $state(false);
  /** A failure that belongs to no message, and a word on what happened to the last one sent. */
  problem = $state<ApiError | null>(null);
  notice = $state("");

  #stored: StoredConversation;

  constructor(
    readonly page: Page,
    conversation: Conversation | null = null,
    /** Told which conversations stand side by side with this one; null for a column that the address does not name. */
    readonly oncolumns: ((columns: Id[]) => void) | null = () => {},
  ) {
    const { model } = placeOf(location.href);
    this.model = model ?? usualModel(page);
    this.#stored = this.#store(null);
    if (conversation) this.show(conversation, false);
    else this.#restore();
  }

  get models(): CatalogueModel[] {
    return this.page.models;
  }

  get currentModel(): CatalogueModel | undefined {
    return this.models.find((model) => model.id === this.model);
  }

  get modelName(): string {
    return this.currentModel?.name ?? this.model;
  }

  /** Whether there is no model of the wanted name, or no longer. */
  get isModelUnknown(): boolean {
    return this.model !== "" && this.models.length > 0 && this.currentModel === undefined;
  }

  /** How much has been said, in characters. */
  get length(): number {
    return this.messages.reduce((length, { content, reasoning }) => length + content.length + reasoning.length, 0);
  }

  get mayCall(): boolean {
    return this.page.mayCall && this.currentModel !== undefined;
  }

  /** The version of the conversation that is shown. */
  get version(): number {
    return this.#stored.version;
  }

  set version(version: number) {
    this.#stored.version = version;
  }

  /** Changes something that is kept, on the screen now and on the server a moment later. */
  change(changes: Changes): void {
    this.#apply(changes);
    // A new chat's model alone is nothing to keep: it is part of creating the conversation.
    if (!this.page.project) return;
    if (this.#stored.id !== null || Object.keys(changes).some((name) => name !== "model")) {
      this.#stored.saver.change(changes);
    }
  }

  /** Writes down all changes, and returns the id of the conversation, which then exists. Throws what kept it from it. */
  async saved(): Promise<Id> {
    const stored = this.#stored;
    await stored.saver.flush();
    if (stored.saver.failure !== null && Object.keys(stored.saver.unsaved).length) throw stored.saver.failure;
    return stored.ensure();
  }

  /** The request that made an answer, or the next one. A conversation that is not begun yet is not begun by looking. */
  async code(message: Id | null): Promise<Code> {
    if (this.id !== null) return server.code(await this.saved(), message);
    const { model, draft, parameters } = this;
    return server.unsavedCode({ project: this.page.project, model, draft, parameters, system_prompt: this.systemPrompt });
  }

  /** The server empties the draft when it takes the message, so an older draft must not follow. */
  takeDraft(): string {
    const text = this.draft;
    this.draft = "";
    this.#stored.saver.drop("draft");
    return text;
  }

  takePictures(): Picture[] {
    const { pictures } = this;
    this.pictures = [];
    return pictures;
  }

  /** About how many tokens the next request has: those of the last answer, and a quarter of each character since. */
  get promptTokens(): number {
    const at = this.messages.findLastIndex(({ run }) => run?.prompt_tokens !== null && run?.prompt_tokens !== undefined);
    const run = this.messages[at]?.run;
    const counted = (run?.prompt_tokens ?? 0) + (run?.completion_tokens ?? 0);
    const system = run ? 0 : this.systemPrompt.length;
    const uncounted = this.messages.slice(at + 1).filter(({ state }) => state !== "running");
    const later = uncounted.reduce((length, { content }) => length + content.length, system + this.draft.length);
    return counted + Math.ceil(later / CHARACTERS_PER_TOKEN);
  }

  /** Puts text back into the box, before whatever was typed since. */
  returnDraft(text: string): void {
    this.change({ draft: this.draft.trim() ? `${text}\n\n${this.draft}` : text });
  }

  /** Takes what another tab left into the box, or throws it away. */
  settleOtherDraft(tab: string, isWanted: boolean): void {
    const text = this.otherDrafts.find(([owner]) => owner === tab)?.[1] ?? "";
    this.otherDrafts = this.otherDrafts.filter(([owner]) => owner !== tab);
    if (isWanted) this.change({ draft: [this.draft, text].filter((part) => part.trim()).join("\n\n") });
    // The draft of that tab is gone; what this tab holds is saved again as the latest.
    const { id } = this;
    if (id === null) return;
    void server.change(id, { draft: "", tab }).then(() => this.change({ draft: this.draft }), () => {});
  }

  /** Tries to save what failed: the server can be reached again. */
  retrySaving(): void {
    this.#stored.saver.retry();
  }

  /** Saves what waits before another conversation is shown. */
  leave(): void {
    if (this.#stored.saver.isDue) void this.#stored.saver.flush();
  }

  leavePage(): void {
    this.#stored.leavePage();
  }

  /** Shows a conversation as the server has it; of the one that is open already, what is typed here stays. */
  show(conversation: Conversation, isStep = true): void {
    const isOther = conversation.id !== this.id;
    if (isOther) {
      this.#stored = this.#store(conversation.id);
      this.id = conversation.id;
      this.pictures = [];
      this.draft = conversation.drafts[this.page.tab.id] ?? conversation.draft;
    }
    this.page.project = conversation.project;
    this.#adopt(conversation);
    Object.assign(this, { problem: null, notice: "", isLoading: false });
    if (isOther) this.#restore();
    this.#showAddress({ conversation: conversation.id }, isStep);
  }

  /** Shows what was changed elsewhere, if that is still wanted when it is here; what is typed and not saved yet stays. */
  async refresh(isWanted: () => boolean = () => true): Promise<Conversation | null> {
    const stored = this.#stored;
    if (stored.id === null) return null;
    const conversation = await server.read(stored.id);
    if (stored !== this.#stored || conversation.version < stored.version || !isWanted()) return null;
    this.#adopt(conversation);
    return conversation;
  }

  /** An empty conversation; model, parameters and system prompt carry over, because settings are tedious to repeat. */
  startNew(isStep = true): void {
    this.leave();
    this.#stored = this.#store(null);
    Object.assign(this, { id: null, title: "", draft: "", otherDrafts: [], messages: [], pictures: [], problem: null, notice: "", isLoading: false });
    const { systemPrompt, parameters } = this;
    if (systemPrompt) this.#stored.saver.hold({ system_prompt: systemPrompt });
    if (Object.keys(parameters).length) this.#stored.saver.hold({ parameters: { ...parameters } });
    this.#showAddress({ project: this.page.project }, isStep);
    this.oncolumns?.([]);
  }

  /** Moves the open conversation to the top of the history. */
  touch(running: boolean): void {
    // Of columns, the first one is listed.
    if (this.id !== null && this.oncolumns) this.page.history.touch({ id: this.id, title: this.title, model: this.model, running });
  }

  fail(failure: unknown): void {
    this.problem = shownError(failure);
    this.isLoading = false;
  }

  #apply(changes: Changes): void {
    if (changes.model !== undefined) this.model = changes.model;
    if (changes.system_prompt !== undefined) this.systemPrompt = changes.system_prompt;
    if (changes.parameters !== undefined) this.parameters = changes.parameters;
    if (changes.draft !== undefined) this.draft = changes.draft;
    if (changes.title !== undefined) this.title = changes.title;
  }

  /** Takes over all but the draft, and puts on top what this side changed and has not saved. */
  #adopt(conversation: Conversation): void {
    const { draft: _, ...unsaved } = this.#stored.saver.unsaved;
    const known = this.#stored.parameters;
    this.#stored.version = conversation.version;
    this.#stored.parameters = conversation.parameters;
    this.#apply({
      model: conversation.model,
      system_prompt: conversation.system_prompt,
      parameters: conversation.parameters,
      title: conversation.title,
      ...unsaved,
    });
    if (unsaved.parameters) {
      this.parameters = merged(conversation.parameters, known, unsaved.parameters);
      this.#stored.saver.hold({ parameters: this.parameters });
    }
    this.messages = conversation.messages;
    const held = new Set(["", this.draft]);
    this.otherDrafts = Object.entries(conversation.drafts).filter(([tab, text]) => {
      const isNew = tab !== this.page.tab.id && !held.has(text);
      held.add(text);
      return isNew;
    });
    this.oncolumns?.(conversation.columns);
  }

  /** Puts back what the page could not save any more when it was closed. */
  #restore(): void {
    const kept = unstash(this.id);
    if (Object.keys(kept).length) this.change(kept);
  }

  #store(id: Id | null): StoredConversation {
    const { project } = this.page;
    const stored: StoredConversation = new StoredConversation(
      id,
      () => this.page.tab.id,
      async () => {
        const made = await server.create(project, this.model);
        if (stored === this.#stored) this.#created(made);
        return made;
      },
      async () => void (await this.refresh()),
      (failed) => {
        if (stored === this.#stored) this.saveFailed = failed;
      },
    );
    return stored;
  }

  #created(conversation: Conversation): void {
    this.id = conversation.id;
    this.touch(false);
    this.#showAddress({ conversation: conversation.id }, false);
  }

  #showAddress(place: Partial<Place>, isStep: boolean): void {
    if (this.oncolumns) showAddress(place, isStep);
  }
}

/** The model that was used last, where it answers; else one that does. */
function usualModel({ models, history }: Page): string {
  const last = history.items[0]?.model;
  const answering = models.filter(({ health }) => health !== "down");
  return (answering.find(({ id }) => id === last) ?? answering[0] ?? models[0])?.id ?? "";
}
