import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Answering } from "../src/chat/answering.svelte";
import { Access } from "../src/chat/access";
import { Page } from "../src/chat/page.svelte";
import { Session } from "../src/chat/session.svelte";
import type { ApiError, CatalogueModel, Conversation, Message, PageState, ServerFrame } from "../src/chat/types";

const error: ApiError = { message: "No credits", type: "insufficient_quota", param: null, code: "insufficient_quota" };
const message = (id: string, role: Message["role"], content: string, state: Message["state"] = "complete"): Message => ({
  id, role, content, reasoning: "", state, run: null, error: null, versions: [id],
  tool_calls: [], tool_call_id: "", logprobs: [], images: [], prefill: "",
});
const conversation = (messages: Message[], running: string | null, draft = ""): Conversation => ({
  id: "c", project: "acme/inference", model: "m", title: "", system_prompt: "", parameters: {}, draft, drafts: {}, version: 1, messages, running, columns: ["c"],
});

/** The wire: what the page sends is kept, and the test speaks for the server. */
class Wire extends EventTarget {
  static OPEN = 1;
  static last: Wire;
  readyState = Wire.OPEN;
  sent: unknown[] = [];

  constructor() {
    super();
    Wire.last = this;
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {}
  say(frame: ServerFrame): void {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(frame) }));
  }
}

let stored: Conversation;
const model: CatalogueModel = {
  id: "m", name: "m", owner: "", description: "", modalities: [], features: [], context_tokens: 1, lifecycle: "available",
  price: { input: "0", output: "0", cached_input: null }, refused: [], health: "up", is_new: false,
};

function opened(state: Partial<PageState>): { page: Page; session: Session; answering: Answering } {
  const project = { path: "acme/inference", role: "member" as const, can_call: true };
  const page = new Page({
    user: { email: "", name: "" }, projects: [project], project: project.path, models: [model], conversation: null,
    history: { conversations: [], cursor: null }, defaults: {}, base_url: "", reconnect_grace_seconds: 10, ...state,
  });
  const session = new Session(page, state.conversation ?? null);
  const answering = new Answering(session);
  new Access(page, () => (session.id === null ? [] : [session.id]));
  if (state.conversation?.running) answering.follow(state.conversation.running);
  page.connect();
  Wire.last.dispatchEvent(new Event("open"));
  return { page, session, answering };
}

beforeEach(() => {
  vi.stubGlobal("WebSocket", Wire);
  vi.stubGlobal("fetch", async () => Response.json(stored));
});
afterEach(() => vi.unstubAllGlobals());

test("a refusal that comes after a reload shows what the server has, and loses nothing that was typed since", async () => {
  const earlier = [message("1", "user", "Hello"), message("2", "assistant", "Hi")];
  const asked = [...earlier, message("3", "user", "And now?"), message("4", "assistant", "", "running")];
  const { session, answering } = opened({ conversation: conversation(asked, "run") });
  session.change({ draft: "Next thought" });
  stored = conversation(earlier, null, "And now?");
  Wire.last.say({ type: "failed", ref: null, run: "run", error, message: null, draft: "And now?" });
  await vi.waitFor(() => expect(answering.live).toBeNull());
  expect(session.messages.map(({ id }) => id)).toEqual(["1", "2"]);
  expect(session.draft).toBe("And now?\n\nNext thought");
  expect(session.problem).toEqual(error);
});

test("the end of an answer that was cleared away meanwhile changes nothing", () => {
  const asked = [message("1", "user", "Hello"), message("2", "assistant", "", "running")];
  const { session, answering } = opened({ conversation: conversation(asked, "run") });
  session.messages = [];
  Wire.last.say({ type: "ended", run: "run", message: message("2", "assistant", "Hi", "stopped") });
  expect(session.messages).toEqual([]);
  expect(answering.live).toBeNull();
});

test("a person without a project asks for no balance, and a lost connection does not lock anybody out", async () => {
  vi.stubGlobal("fetch", async () => Response.json({ error }, { status: 404 }));
  const { page } = opened({ projects: [], project: null });
  expect(Wire.last.sent).toEqual([]);
  Wire.last.dispatchEvent(new CloseEvent("close", { code: 1006 }));
  await new Promise((done) => setTimeout(done, 20));
  expect(page.isRevoked).toBe(false);
});

test("whoever is signed out sees the answer end, and is not sent to the team's admin", () => {
  const asked = [message("1", "user", "Hello"), message("2", "assistant", "Hi", "running")];
  const { page, session, answering } = opened({ conversation: conversation(asked, "run", "Next thought") });
  Wire.last.say({ type: "revoked", error: { ...error, code: "signed_out" } });
  Wire.last.dispatchEvent(new CloseEvent("close", { code: 4403 }));
  expect(page.revocation).toBe("signed_out");
  expect(answering.live).toBeNull();
  expect(session.messages.at(-1)).toMatchObject({ content: "Hi", state: "stopped" });
  expect(session.draft).toBe("Next thought");
});

test("credits that came make an earlier refusal old", () => {
  const { session } = opened({});
  const balance = (nano: string) => ({ type: "balance" as const, project: "acme/inference", balance_nano: nano, held_nano: "0", available_nano: nano });
  Wire.last.say(balance("0"));
  session.problem = error;
  Wire.last.say(balance("0"));
  expect(session.problem).toEqual(error);
  Wire.last.say(balance("5"));
  expect(session.problem).toBeNull();
});

test("what is asked stays on the screen while a change of another tab comes in", async () => {
  const { session, answering } = opened({ conversation: conversation([], null) });
  let read = () => {};
  const isRead = new Promise<void>((done) => (read = done));
  vi.stubGlobal("fetch", async () => {
    await isRead;
    return Response.json({ ...conversation([], null), version: 2 });
  });
  Wire.last.say({ type: "changed", conversation: "c", version: 2 });
  void answering.send("Hello");
  read();
  await new Promise((done) => setTimeout(done, 20));
  expect(session.messages.map(({ content }) => content)).toEqual(["Hello", ""]);
});

test("a draft that is kept says nothing of what another tab has changed", async () => {
  const { session } = opened({ conversation: conversation([], null) });
  vi.stubGlobal("fetch", async () => new Response(null, { status: 204, headers: { ETag: '"7"' } }));
  session.change({ draft: "Typed" });
  await session.saved();
  expect(session.version).toBe(1);
  session.change({ title: "Named" });
  await session.saved();
  expect(session.version).toBe(7);
});
