/** JSON over HTTP with the session's cookie. */
import { t } from "../i18n";
import type { ApiError, Balance, Changes, Code, Conversation, ConversationSummary, Id } from "./types";

export class HttpError extends Error {
  constructor(
    readonly status: number,
    readonly error: ApiError,
  ) {
    super(error.message);
  }
}

const conversations = "/playground/conversations";
const csrfToken = () => document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";

async function call<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    // keepalive lets a last save leave while the page closes.
    response = await fetch(path, { method, headers, keepalive: method === "PATCH", ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  } catch {
    throw new HttpError(0, plainError(t.network));
  }
  if (!response.ok) throw new HttpError(response.status, await errorOf(response));
  return (response.status === 204 ? undefined : await response.json()) as Answer;
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

export const server = {
  list: (project: string) =>
    call<{ conversations: ConversationSummary[] }>("GET", `${conversations}?project=${encodeURIComponent(project)}`),
  create: (project: string, model: string) => call<Conversation>("POST", conversations, { project, model }),
  read: (id: Id) => call<Conversation>("GET", `${conversations}/${id}`),
  change: (id: Id, changes: Changes) => call<unknown>("PATCH", `${conversations}/${id}`, changes),
  remove: (id: Id) => call<unknown>("DELETE", `${conversations}/${id}`),
  clear: (id: Id) => call<Conversation>("POST", `${conversations}/${id}/clear`),
  removeFrom: (id: Id, message: Id) => call<unknown>("DELETE", `${conversations}/${id}/messages/${message}`),
  code: (id: Id, message: Id | null) =>
    call<Code>("GET", `${conversations}/${id}/code${message === null ? "" : `?message=${encodeURIComponent(message)}`}`),
  unsavedCode: (conversation: Changes & { project: string }) => call<Code>("POST", "/playground/code", conversation),
  balance: (project: string) => call<Balance>("GET", `/playground/balance?project=${encodeURIComponent(project)}`),
};
