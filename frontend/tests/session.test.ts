import { expect, test } from "vitest";
import { Page } from "../src/chat/page.svelte";
import { Session } from "../src/chat/session.svelte";
import type { CatalogueModel, PageState } from "../src/chat/types";

const model = (id: string, health: CatalogueModel["health"]): CatalogueModel => ({
  id, name: id, owner: "", description: "", modalities: [], features: [], context_tokens: 1, lifecycle: "available",
  price: { input: "0", output: "0", cached_input: null }, refused: [], health, is_new: false,
});

function opened(models: CatalogueModel[], lastUsed: string | null, query = ""): string {
  history.replaceState(null, "", `/playground${query}`);
  const conversations = lastUsed ? [{ id: "c", title: "", model: lastUsed, updated_at: "", running: false, has_columns: false, snippet: "" }] : [];
  const state: PageState = {
    user: { email: "", name: "" }, projects: [], project: null, models, conversation: null,
    history: { conversations, cursor: null }, defaults: {},
    base_url: "", reconnect_grace_seconds: 10,
  };
  return new Session(new Page(state)).model;
}

const models = [model("first", "up"), model("second", "up"), model("broken", "down")];

test("a visit begins with the model that was used last", () => {
  expect(opened(models, "second")).toBe("second");
  expect(opened(models, null)).toBe("first");
});

test("the model that was used last gives way to the one that is asked for, and where it does not answer or is gone", () => {
  expect(opened(models, "second", "?model=first")).toBe("first");
  expect(opened(models, "broken")).toBe("first");
  expect(opened(models, "retired")).toBe("first");
  expect(opened([model("broken", "down")], null)).toBe("broken");
});
