/** Which cards of the catalogue show, and in which order: pure, so it can be tested without a page. */
export interface Card {
  name: string;
  id: string;
  owner: string;
  modalities: string;
  context: string;
  released: string;
  input: string;
  output: string;
}

export function matches(card: Card, search: string, modality: string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${card.name} ${card.id} ${card.owner}`.toLowerCase();
  return words.every((word) => text.includes(word)) && (!modality || card.modalities.split(" ").includes(modality));
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

export function compareBy(order: string): Compare {
  return orders[order] ?? orders["newest"]!;
}
