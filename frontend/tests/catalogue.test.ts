import { expect, test } from "vitest";
import { compareBy, comparison, matches, queryOf, viewOf, type Card } from "../src/catalogue/order";

const card = (name: string, more: Partial<Card> = {}): Card => ({
  name, id: `org/${name}`, owner: "org", modalities: "text", context: "8192", released: "2024-01-01", input: "0.10", output: "0.20", health: "up", ...more,
});

const cards = [
  card("b", { released: "2025-01-01", context: "131072", input: "10.00" }),
  card("a", { released: "", input: "9.00" }),
  card("c", { modalities: "text image", input: "0.5" }),
];
const order = (by: string) => [...cards].sort(compareBy(by)).map(({ name }) => name).join("");

test("prices and context are compared as numbers", () => {
  expect(order("input-ascending")).toBe("cab");
  expect(order("input-descending")).toBe("bac");
  expect(order("context")).toBe("bac");
});

test("a model without a release date comes last, and an unknown order is the newest first", () => {
  expect(order("newest")).toBe("bca");
  expect(order("nonsense")).toBe("bca");
});

test("every word must be found, in whatever case, and the modality must fit", () => {
  expect(cards.filter((each) => matches(each, "ORG c", "")).map(({ name }) => name)).toEqual(["c"]);
  expect(cards.filter((each) => matches(each, "", "image")).map(({ name }) => name)).toEqual(["c"]);
  expect(cards.filter((each) => matches(each, "org zebra", ""))).toEqual([]);
});

test("what is down comes last in every order", () => {
  const all = [card("dear", { input: "9" }), card("cheap", { input: "1", health: "down" })];
  expect(all.sort(compareBy("input-ascending")).map(({ name }) => name)).toEqual(["dear", "cheap"]);
});

test("the address says what differs from the usual, and is read back", () => {
  expect(queryOf({ search: "", modality: "", sort: "newest" })).toBe("");
  const view = { search: "fox & owl", modality: "image", sort: "context" };
  expect(viewOf(new URLSearchParams(queryOf(view)))).toEqual(view);
  expect(viewOf(new URLSearchParams("sort=nonsense")).sort).toBe("newest");
});

test("models are compared under the first one's address", () => {
  expect(comparison(["a/b", "c/d"])).toBe("/playground?model=a%2Fb&compare=c%2Fd");
});
