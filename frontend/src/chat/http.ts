/** JSON over HTTP with the session's cookie. */
import { t } from "../i18n";
import { encode } from "./encoding";
import type { FileKind } from "./files";
import type { Picture } from "./pictures";
import type { ApiError, Balance, Changes, Code, Conversation, Deletion, HistoryPage, Id, Message, NewMessage, Parameters, Preset, PresetSettings } from "./types";

export class HttpError extends Error {
  constructor(
    readonly status: number,
    readonly error: ApiError,
  ) {
    super(error.message);
  }
}

interface Beside {
  columns: Conversation[];
}

const conversations = "/playground/conversations";
const presets = "/playground/presets";
const csrfToken = () => document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";

interface Options {
  /** A file goes as it is, all else as JSON. */
  body?: unknown;
  /** The version of the conversation that the page shows. */
  seen?: number | null;
  /** Lets a last save leave while the page closes; browsers take no more than KEEPALIVE_BYTES so. */
  keepalive?: boolean;
}

/** Of the 64 KiB that browsers allow, a little is left for what another request may be carrying. */
const KEEPALIVE_BYTES = 60_000;

async function ask(method: string, path: string, { body, seen, keepalive = false }: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (seen !== undefined && seen !== null) headers["If-Match"] = `"${seen}"`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, { method, headers, keepalive, ...(body === undefined ? {} : { body: body instanceof Blob ? body : encode(body) }) });
  } catch {
    throw new HttpError(0, plainError(t.network));
  }
  if (!response.ok) throw new HttpError(response.status, await errorOf(response));
  return response;
}

async function call<Answer>(method: string, path: string, options?: Options): Promise<Answer> {
  const response = await ask(method, path, options);
  return (response.status === 204 ? undefined : await response.json()) as Answer;
}

/** Whether a body can be sent by a page that closes. */
export function fitsKeepalive(body: unknown): boolean {
  return new TextEncoder().encode(encode(body)).length <= KEEPALIVE_BYTES;
}

async function errorOf(response: Response): Promise<ApiError> {
  try {
    return ((await response.json()) as { error: ApiError }).error ?? plainError(response.statusText);
  } catch {
    return plainError(`${response.status} ${response.statusText}`);
  }
}

function plainError(message: string): ApiError {
  return { message, type: "connection_error", param: null, code: null };
}

/** A failure as something that can be shown. */
export function shownError(failure: unknown): ApiError {
  return failure instanceof HttpError ? failure.error : plainError(String(failure));
}

/** Whether trying the same again later may help: nobody answered, or somebody who was not up to it. */
export function isPassing(failure: unknown): boolean {
  return failure instanceof HttpError && (failure.status === 0 || failure.status === 429 || failure.status >= 500);
}

export function isChangedElsewhere(failure: unknown): boolean {
  return failure instanceof HttpError && failure.error.code === "conversation_changed";
}

export const server = {
  list: (project: string, cursor: string | null, search: string) =>
    call<HistoryPage>("GET", `${conversations}?${new URLSearchParams({ project, search, cursor: cursor ?? "" })}`),
  create: (project: string, model: string) => call<Conversation>("POST", conversations, { body: { project, model } }),
  read: (id: Id) => call<Conversation>("GET", `${conversations}/${id}`),
  /** Returns the version that the page shows from then on. */
  change: async (id: Id, body: Changes & { tab?: string }, options: Options = {}): Promise<number> => {
    const response = await ask("PATCH", `${conversations}/${id}`, { ...options, body });
    return Number(response.headers.get("ETag")?.replaceAll('"', ""));
  },
  /** Deletes a conversation, and those beside it unless it is one of several columns that is taken away. */
  remove: (id: Id, isColumn = false) => deletion("DELETE", `${conversations}/${id}${isColumn ? "" : "?columns=all"}`),
  columns: async (id: Id) => (await call<Beside>("GET", `${conversations}/${id}/columns`)).columns,
  addColumns: async (id: Id, models: string[]) => (await call<Beside>("POST", `${conversations}/${id}/columns`, { body: { models } })).columns,
  leaveColumns: (id: Id) => call<Conversation>("DELETE", `${conversations}/${id}/columns`),
  removeFrom: (id: Id, message: Id, seen: number) => deletion("DELETE", `${conversations}/${id}/messages/${message}`, { seen }),
  clear: (id: Id) => call<Conversation & { deletion: string }>("POST", `${conversations}/${id}/clear`),
  restore: ({ conversation, ...body }: Deletion) => call<Conversation>("POST", `${conversations}/${conversation}/restore`, { body }),
  showVersion: (id: Id, message: Id) => call<Conversation>("POST", `${conversations}/${id}/branch`, { body: { message } }),
  /** Adds a turn, or writes one anew beside another, without asking for an answer. */
  addMessage: (id: Id, body: NewMessage & { seen: number; tab: string }) => call<Conversation>("POST", `${conversations}/${id}/messages`, { body }),
  /** Keeps a picture for a conversation, and returns its id. */
  keepPicture: async (id: Id, picture: Picture) => (await call<{ id: string }>("POST", `${conversations}/${id}/images`, { body: picture })).id,
  /** Whether a request may carry these parameters; what is wrong, or null. */
  checkParameters: async (body: Parameters) => (await call<{ error: ApiError | null }>("POST", "/playground/parameters", { body })).error,
  /** Gives back what was read of an answer before its server was killed. */
  recover: (id: Id, { id: message, content, reasoning }: Message) =>
    call<unknown>("POST", `${conversations}/${id}/messages/${message}/recovered`, { body: { content, reasoning } }),
  code: (id: Id, message: Id | null) =>
    call<Code>("GET", `${conversations}/${id}/code${message === null ? "" : `?message=${encodeURIComponent(message)}`}`),
  unsavedCode: (body: Changes & { project: string }) => call<Code>("POST", "/playground/code", { body }),
  exportAddress: (id: Id, kind: FileKind) => `${conversations}/${id}/export?as=${kind}`,
  /** Makes a new conversation of a file that was exported. */
  import: (project: string, body: File) => call<Conversation>("POST", `${conversations}/import?${new URLSearchParams({ project })}`, { body }),
  presets: async (project: string) => (await call<{ presets: Preset[] }>("GET", `${presets}?${new URLSearchParams({ project })}`)).presets,
  savePreset: (body: PresetSettings & { project: string; name: string; description: string }) => call<unknown>("POST", presets, { body }),
  presetVersion: (id: string, number: number) => call<PresetSettings>("GET", `${presets}/${id}/versions/${number}`),
  removePreset: (id: string) => call<unknown>("DELETE", `${presets}/${id}`),
  balance: (project: string) => call<Balance>("GET", `/playground/balance?project=${encodeURIComponent(project)}`),
};

/** Deletes, and returns the name by which what is gone can be brought back. */
async function deletion(method: string, path: string, options?: Options): Promise<string> {
  return (await ask(method, path, options)).headers.get("Parley-Deletion") ?? "";
}
