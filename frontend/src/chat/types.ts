/** What the server says and hears: the contract between playground/ and this application. */
export type Id = string | number;

export interface CatalogueModel {
  id: string;
  name: string;
  owner: string;
  description: string;
  modalities: string[];
  features: string[];
  context_tokens: number;
  lifecycle: string;
  price: { input: string; output: string; cached_input: string | null };
  /** The parameters that its servers do not take. */
  refused: string[];
  health: "up" | "down" | "unknown";
  is_new: boolean;
}

export interface Project {
  path: string;
  role: "owner" | "admin" | "member" | "viewer";
  can_call: boolean;
}

export interface ApiError {
  message: string;
  type: string;
  param: string | null;
  code: string | null;
  doc_url?: string | null;
  request_id?: string | null;
  /** The budget that refused, where one did. */
  budget?: { scope: string; period: "day" | "month" | "total"; resets_at: string | null };
}

/** What became of a run; the numbers are there once it has ended. */
export interface RunSummary {
  run: string;
  request_id: string;
  model: string;
  ending: string | null;
  finish_reason: string | null;
  prompt_tokens: number | null;
  completion_tokens: number | null;
  cost_dollars: string | null;
  first_token_ms: number | null;
  duration_ms: number | null;
  tokens_per_second: number | null;
}

export type Role = "system" | "developer" | "user" | "assistant" | "tool";

/** A function that the model asks to be called, with its arguments as JSON text. */
export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

/** How likely a token was, and what could have stood in its place. */
export interface TokenLogprob {
  token: string;
  logprob: number;
  top_logprobs?: { token: string; logprob: number }[];
}

export interface Message {
  id: Id;
  role: Role;
  content: string;
  reasoning: string;
  state: "complete" | "running" | "stopped" | "failed";
  run: RunSummary | null;
  error: ApiError | null;
  tool_calls: ToolCall[];
  /** The call that a tool's message answers. */
  tool_call_id: string;
  logprobs: TokenLogprob[];
  /** The ids of the pictures that it shows. */
  images: string[];
  /** The words that an answer was to go on from. */
  prefill: string;
  /** How long the model thought before it spoke, in milliseconds, where this page saw it. */
  thought_ms?: number | null;
  /** The messages that stand in the same place, the oldest first; one of them is this one. */
  versions: Id[];
}

export interface ResponseFormat {
  type: "text" | "json_object" | "json_schema";
  json_schema?: { name: string; schema: unknown; strict?: boolean };
}

export interface Parameters {
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
  seed?: number;
  stop?: string[];
  response_format?: ResponseFormat;
  tools?: unknown[];
  tool_choice?: unknown;
  logprobs?: boolean;
  top_logprobs?: number;
  /** What has no control of its own. */
  [other: string]: unknown;
}

export interface Conversation {
  id: Id;
  project: string;
  model: string;
  title: string;
  system_prompt: string;
  parameters: Parameters;
  /** What was typed last, in whichever tab; and what each tab holds, the latest first. */
  draft: string;
  drafts: Record<string, string>;
  /** Counts the changes of what is shown, the draft aside. */
  version: number;
  messages: Message[];
  running: string | null;
  /** The conversations that stand side by side, this one among them. */
  columns: Id[];
}

export interface ConversationSummary {
  id: Id;
  title: string;
  model: string;
  updated_at: string;
  running: boolean;
  /** Whether others stand beside it. */
  has_columns: boolean;
  /** The words around what was searched for. */
  snippet: string;
}

/** Conversations, and where those that follow begin. */
export interface HistoryPage {
  conversations: ConversationSummary[];
  cursor: string | null;
}

/** The fields of a conversation that this side may change. */
export type Changes = Partial<Pick<Conversation, "model" | "system_prompt" | "parameters" | "draft" | "title">>;

/** What a preset holds. */
export type PresetSettings = Pick<Conversation, "model" | "system_prompt" | "parameters">;

/** Settings under a name, shared in a project; `version` is the latest one's number. */
export interface Preset {
  id: string;
  name: string;
  description: string;
  version: number;
  may_remove: boolean;
}

/** What was deleted, so that it can be brought back. */
export interface Deletion {
  conversation: Id;
  deletion: string;
  /** The last message that was shown. */
  head: Id | null;
}

export interface Balance {
  project: string;
  balance_nano: string;
  held_nano: string;
  available_nano: string;
}

export interface PageState {
  user: { email: string; name: string };
  projects: Project[];
  /** Null for a person who is in no team. */
  project: string | null;
  models: CatalogueModel[];
  conversation: Conversation | null;
  history: HistoryPage;
  defaults: Parameters;
  base_url: string;
  reconnect_grace_seconds: number;
}

export interface Code {
  request: unknown;
  curl: string;
  python: string;
  javascript: string;
}

export interface ToolCallDelta {
  index: number;
  id?: string;
  function?: { name?: string; arguments?: string };
}

export interface Chunk {
  content?: string;
  reasoning?: string;
  tool_calls?: ToolCallDelta[];
  logprobs?: TokenLogprob[];
  /** How many tokens the answer has so far, where its engine counts along. */
  tokens?: number;
}

/** A turn that is added without asking for an answer, or written anew beside another one. */
export interface NewMessage {
  role: Role;
  content?: string;
  images?: string[];
  tool_calls?: ToolCall[];
  tool_call_id?: string;
  replaces?: Id;
  is_draft?: boolean;
}

export type ServerFrame =
  | { type: "started"; ref: string; conversation: Id; title: string; version: number; run: string; request_id: string; user: Message | null; message: Message }
  | { type: "queued"; run: string; position: number; wait_seconds: number | null }
  | { type: "chunks"; run: string; from: number; chunks: Chunk[] }
  | { type: "ended"; run: string; message: Message }
  | { type: "failed"; ref: string | null; run: string | null; error: ApiError; message: Message | null; draft: string | null }
  | { type: "changed"; conversation: Id; version: number }
  | ({ type: "balance" } & Balance)
  | { type: "revoked"; error: ApiError };

export type ClientFrame =
  | { type: "send"; ref: string; conversation: Id; content: string; replaces: Id | null; seen: number; tab: string; images: string[] }
  | { type: "answer"; ref: string; conversation: Id; seen: number }
  | { type: "regenerate"; ref: string; conversation: Id; message: Id; seen: number }
  | { type: "stop"; run: string }
  | { type: "attach"; run: string; after: number }
  | { type: "watch"; project: string; conversations: Id[] };
