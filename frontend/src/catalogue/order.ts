/** Which cards of the catalogue show, and in which order: pure, so it can be tested without a page. */
import { searcher } from "../search";

export interface Card {
  name: string;
  id: string;
  owner: string;
  modalities: string;
  context: string;
  released: string;
  input: string;
  output: string;
  health: string;
}

export function matches(card: Card, search: string, modality: string): boolean {
  const isFound = searcher(search)(`${card.name} ${card.id} ${card.owner}`);
  return isFound && (!modality || card.modalities.split(" ").includes(modality));
}

type Compare = (a: Card, b: Card) => number;

const byNumber = (key: "context" | "input" | "output", direction: 1 | -1): Compare => (a, b) =>
  direction * (Number(a[key]) - Number(b[key])) || a.name.localeCompare(b.name);

const orders: Record<string, Compare> = {
  // Where nobody knows the release, the card has the day on which the model came here.
  newest: (a, b) => b.released.localeCompare(a.released) || a.name.localeCompare(b.name),
  context: byNumber("context", -1),
  "input-ascending": byNumber("input", 1),
  "input-descending": byNumber("input", -1),
  "output-ascending": byNumber("output", 1),
  "output-descending": byNumber("output", -1),
};

/** Models that do not answer come last, whatever else is asked for. */
export function compareBy(order: string): Compare {
  const compare = orders[order] ?? orders["newest"]!;
  return (a, b) => Number(a.health === "down") - Number(b.health === "down") || compare(a, b);
}

/** What the catalogue shows, as its address says it. */
export interface View {
  search: string;
  modality: string;
  sort: string;
}

export const DEFAULT_VIEW: View = { search: "", modality: "", sort: "newest" };

export function viewOf(query: URLSearchParams): View {
  const sort = query.get("sort") ?? "";
  return { search: query.get("search") ?? "", modality: query.get("modality") ?? "", sort: sort in orders ? sort : DEFAULT_VIEW.sort };
}

/** The query of an address; what is as usual is not in it. */
export function queryOf(view: View): string {
  const named = (Object.keys(DEFAULT_VIEW) as (keyof View)[]).filter((name) => view[name] !== DEFAULT_VIEW[name]);
  const query = new URLSearchParams(named.map((name) => [name, view[name]])).toString();
  return query && `?${query}`;
}

export const MAX_COMPARED = 4;

/** The playground with the chosen models side by side. */
export function comparison(models: string[]): string {
  const [first = "", ...others] = models;
  return `/playground?${new URLSearchParams([["model", first], ...others.map((model) => ["compare", model])])}`;
}
