/** The open conversation, its settings and its place in the history: what the screen shows. */
import { server, shownError } from "./http";
import type { Connection } from "./socket";
import { StoredConversation } from "./stored";
import type {
  ApiError, Balance, CatalogueModel, Changes, Code, Conversation, ConversationSummary, Id, Message, PageState, Parameters, Project,
} from "./types";

export class Session {
  readonly projects: Project[];
  readonly models: CatalogueModel[];
  readonly defaults: Parameters;

  project = $state("");
  conversations = $state<ConversationSummary[]>([]);
  balance = $state<Balance | null>(null);
  connection = $state<Connection>("connecting");
  isOnline = $state(navigator.onLine);
  /** Why nothing can be done here any more: the code of what the server said. */
  revocation = $state<string | null>(null);
  /** Whether a budget refuses whatever is asked. */
  isRefused = $state(false);

  id = $state<Id | null>(null);
  title = $state("");
  model = $state("");
  systemPrompt = $state("");
  parameters = $state<Parameters>({});
  draft = $state("");
  messages = $state<Message[]>([]);
  isLoading = $state(false);
  saveFailed = $state(false);
  /** A failure that belongs to no message, and a word on what happened to the last one sent. */
  problem = $state<ApiError | null>(null);
  notice = $state("");

  #stored: StoredConversation;

  constructor(state: PageState) {
    this.projects = state.projects;
    this.models = state.models;
    this.defaults = state.defaults;
    this.project = state.project ?? "";
    this.conversations = state.conversations;
    this.model = wantedModel(state.models, state.conversations);
    this.#stored = this.#store(null);
    if (state.conversation) this.show(state.conversation);
  }

  get currentModel(): CatalogueModel | undefined {
    return this.models.find((model) => model.id === this.model);
  }

  get modelName(): string {
    return this.currentModel?.name ?? this.model;
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

  /** How much has been said, in characters. */
  get length(): number {
    return this.messages.reduce((length, { content, reasoning }) => length + content.length + reasoning.length, 0);
  }

  get mayCall(): boolean {
    return !this.isRevoked && (this.currentProject?.can_call ?? false);
  }

  get isOutOfCredits(): boolean {
    return this.balance !== null && BigInt(this.balance.balance_nano) <= 0n;
  }

  /** Changes something that is kept, on the screen now and on the server a moment later. */
  change(changes: Changes): void {
    if (changes.model !== undefined) this.model = changes.model;
    if (changes.system_prompt !== undefined) this.systemPrompt = changes.system_prompt;
    if (changes.parameters !== undefined) this.parameters = changes.parameters;
    if (changes.draft !== undefined) this.draft = changes.draft;
    if (changes.title !== undefined) this.title = changes.title;
    // A new chat's model alone is nothing to keep: it is part of creating the conversation.
    if (!this.project) return;
    if (this.#stored.id !== null || Object.keys(changes).some((name) => name !== "model")) {
      this.#stored.saver.change(changes);
    }
  }

  /** Writes down all changes, and returns the id of the conversation, which then exists. */
  async saved(): Promise<Id> {
    const stored = this.#stored;
    await stored.saver.flush();
    return stored.ensure();
  }

  /** The request that made an answer, or the next one. A conversation that is not begun yet is not begun by looking. */
  async code(message: Id | null): Promise<Code> {
    if (this.id !== null) return server.code(await this.saved(), message);
    const { project, model, draft, parameters } = this;
    return server.unsavedCode({ project, model, draft, parameters, system_prompt: this.systemPrompt });
  }

  /** The server empties the draft when it takes the message, so an older draft must not follow. */
  takeDraft(): string {
    const text = this.draft;
    this.draft = "";
    this.#stored.saver.drop("draft");
    return text;
  }

  /** Puts text back into the box, before whatever was typed since. */
  returnDraft(text: string): void {
    this.change({ draft: this.draft.trim() ? `${text}\n\n${this.draft}` : text });
  }

  /** Takes the news about the open project; credits that came make an earlier refusal for the lack of them old. */
  receiveBalance(balance: Balance): void {
    if (balance.project !== this.project) return;
    const hasMore = this.balance !== null && BigInt(balance.balance_nano) > BigInt(this.balance.balance_nano);
    if (hasMore && this.problem?.code === "insufficient_quota") this.problem = null;
    this.balance = balance;
  }

  leave(): void {
    if (this.#stored.saver.isDue) void this.#stored.saver.flush();
  }

  /** Shows a conversation as the server has it. */
  show(conversation: Conversation): void {
    this.#stored = this.#store(conversation.id);
    this.id = conversation.id;
    this.project = conversation.project;
    this.title = conversation.title;
    this.model = conversation.model;
    this.systemPrompt = conversation.system_prompt;
    this.parameters = conversation.parameters;
    this.draft = conversation.draft;
    this.messages = conversation.messages;
    this.problem = null;
    this.notice = "";
    this.isLoading = false;
    address({ conversation: String(conversation.id) });
  }

  /** An empty conversation; model, parameters and system prompt carry over, because settings are tedious to repeat. */
  startNew(): void {
    this.leave();
    this.#stored = this.#store(null);
    Object.assign(this, { id: null, title: "", draft: "", messages: [], problem: null, notice: "", isLoading: false });
    const { systemPrompt, parameters } = this;
    if (systemPrompt) this.#stored.saver.hold({ system_prompt: systemPrompt });
    if (Object.keys(parameters).length) this.#stored.saver.hold({ parameters: { ...parameters } });
    address({ project: this.project });
  }

  async refreshHistory(): Promise<void> {
    const { conversations } = await server.list(this.project);
    this.conversations = conversations;
  }

  /** Its title may have gone with its first message. */
  async refreshTitle(): Promise<void> {
    await this.refreshHistory();
    this.title = this.conversations.find(({ id }) => id === this.id)?.title ?? this.title;
  }

  /** Moves the open conversation to the top of the history. */
  touch(): void {
    if (this.id === null) return;
    const summary = { id: this.id, title: this.title, model: this.model, updated_at: new Date().toISOString() };
    this.conversations = [summary, ...this.conversations.filter(({ id }) => id !== summary.id)];
  }

  fail(failure: unknown): void {
    this.problem = shownError(failure);
    this.isLoading = false;
  }

  #store(id: Id | null): StoredConversation {
    const { project } = this;
    const stored: StoredConversation = new StoredConversation(
      id,
      async () => {
        const made = await server.create(project, this.model);
        if (stored === this.#stored) this.#created(made);
        return made.id;
      },
      (failed) => (this.saveFailed = failed),
    );
    return stored;
  }

  #created(conversation: Conversation): void {
    this.id = conversation.id;
    this.touch();
    address({ conversation: String(conversation.id) });
  }
}

/** The model that the address asks for, else the one that was used last, else one that answers. */
function wantedModel(models: CatalogueModel[], conversations: ConversationSummary[]): string {
  const asked = new URLSearchParams(location.search).get("model");
  const last = conversations[0]?.model;
  const answering = models.filter(({ health }) => health !== "down");
  const found = models.find(({ id }) => id === asked) ?? answering.find(({ id }) => id === last) ?? answering[0] ?? models[0];
  return found?.id ?? "";
}

/** Keeps the address in step, so that a reload comes back here. */
function address(place: { conversation: string } | { project: string }): void {
  const wanted = `/playground?${new URLSearchParams(place)}`;
  if (location.pathname + location.search !== wanted) history.replaceState(null, "", wanted);
}
