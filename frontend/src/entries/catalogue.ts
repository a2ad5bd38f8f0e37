/** Search, filter and sort on the cards that the server drew. */
import { compareBy, comparison, DEFAULT_VIEW, matches, MAX_COMPARED, queryOf, viewOf, type Card, type View } from "../catalogue/order";
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

  /** Shows what an address says. */
  const show = (view: View) => {
    search.value = view.search;
    sort.value = view.sort;
    modality = view.modality;
    for (const filter of filters) filter.setAttribute("aria-pressed", String(filter.dataset.modality === modality));
    refresh();
  };
  /** Shows something else, and says so in the address: a choice is a step that Back undoes, each letter of a search is not. */
  const change = (changes: Partial<View>, isStep: boolean) => {
    const view = { search: search.value, modality, sort: sort.value, ...changes };
    show(view);
    const address = location.pathname + queryOf(view);
    if (address === location.pathname + location.search) return;
    if (isStep) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
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
    filter.addEventListener("click", () => change({ modality: wanted }, true));
  }
  search.addEventListener("input", () => change({}, false));
  sort.addEventListener("change", () => change({}, true));
  addEventListener("popstate", () => show(viewOf(new URLSearchParams(location.search))));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.querySelector("[data-catalogue-reset]")?.addEventListener("click", () => {
    change({ search: "", modality: "" }, true);
    search.focus();
  });
  show({ ...DEFAULT_VIEW, ...viewOf(new URLSearchParams(location.search)) });

  const boxes = cards.flatMap((card) => card.querySelector<HTMLInputElement>("[data-compare]") ?? []);
  const bar = document.querySelector<HTMLElement>("[data-compare-bar]");
  const link = bar?.querySelector<HTMLAnchorElement>("[data-compare-link]");
  let compared: string[] = [];
  const choose = ({ value, checked }: HTMLInputElement) => {
    compared = [...compared.filter((model) => model !== value), ...(checked ? [value] : [])];
    for (const box of boxes) box.disabled = !box.checked && compared.length >= MAX_COMPARED;
    if (!bar || !link) return;
    bar.hidden = compared.length < 2;
    link.href = comparison(compared);
    link.lastElementChild!.textContent = t.compareCount(compared.length);
  };
  for (const box of boxes) {
    box.checked = false;
    box.addEventListener("change", () => choose(box));
  }
}
