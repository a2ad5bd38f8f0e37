/** Search, filter and sort on the cards that the server drew. */
import { compareBy, matches, type Card } from "../catalogue/order";
import { loadStrings, t } from "../i18n";

const form = document.querySelector<HTMLFormElement>("[data-catalogue-bar]");
const list = document.querySelector<HTMLElement>("[data-catalogue]");

if (form && list) {
  await loadStrings();
  const cards = [...list.querySelectorAll<HTMLElement>("[data-model]")];
  const filters = [...form.querySelectorAll<HTMLButtonElement>("[data-modality]")];
  const search = form.elements.namedItem("search") as HTMLInputElement;
  const sort = form.elements.namedItem("sort") as HTMLSelectElement;
  const empty = document.querySelector<HTMLElement>("[data-catalogue-empty]");
  const count = document.querySelector<HTMLElement>("[data-catalogue-count]");
  const facts = (card: HTMLElement) => card.dataset as unknown as Card;
  let modality = "";

  const choose = (wanted: string) => {
    modality = wanted;
    for (const filter of filters) filter.setAttribute("aria-pressed", String(filter.dataset.modality === wanted));
    refresh();
  };
  const refresh = () => {
    const compare = compareBy(sort.value);
    cards.sort((a, b) => compare(facts(a), facts(b)));
    let shown = 0;
    for (const card of cards) {
      card.hidden = !matches(facts(card), search.value, modality);
      if (!card.hidden) shown += 1;
    }
    list.append(...cards);
    if (empty) empty.hidden = shown > 0;
    if (count) count.textContent = t.modelsShown(shown);
  };

  for (const filter of filters) {
    const wanted = filter.dataset.modality ?? "";
    filter.disabled = !cards.some((card) => matches(facts(card), "", wanted));
    filter.addEventListener("click", () => choose(wanted));
  }
  search.addEventListener("input", refresh);
  sort.addEventListener("change", refresh);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.querySelector("[data-catalogue-reset]")?.addEventListener("click", () => {
    search.value = "";
    choose("");
    search.focus();
  });
  refresh();
}
