// Suggestions under the search field of every page: what a word that is being written may become.
//
// A combobox with a list (ARIA Authoring Practices): arrows move, Enter goes there, Escape closes. The form stays what
// it is: without this script, or where nothing is chosen, Enter searches.

export {}; // a module: its names are its own

interface Hit {
  readonly label: string;
  readonly kind_label: string;
  readonly curie: string;
  readonly page: string;
}

const WAIT = 120; // ms after the last key
const MOST = 8;

const form = document.querySelector<HTMLFormElement>("form.find");
const field = form?.querySelector<HTMLInputElement>("input[name=q]");
const list = form?.querySelector<HTMLUListElement>("[role=listbox]");
const status = form?.querySelector<HTMLElement>("[role=status]");
if (form && field && list && status) combine(form, field, list, status);

function combine(form: HTMLFormElement, field: HTMLInputElement, list: HTMLUListElement, status: HTMLElement): void {
  let chosen = -1;
  let timer = 0;
  let asking = new AbortController();
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false" })) {
    field.setAttribute(name, value);
  }

  function close(): void {
    clearTimeout(timer);
    asking.abort();
    list.hidden = true;
    chosen = -1;
    status.textContent = "";
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  }

  function choose(place: number): void {
    const options = [...list.children];
    chosen = place < -1 ? options.length - 1 : place >= options.length ? -1 : place; // -1: the text as it is written
    options.forEach((option, n) => option.setAttribute("aria-selected", String(n === chosen)));
    const option = options[chosen];
    if (option) {
      field.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else field.removeAttribute("aria-activedescendant");
  }

  async function ask(): Promise<void> {
    const text = field.value.trim();
    asking.abort();
    if (!text) return close();
    asking = new AbortController();
    const { signal } = asking;
    try {
      const address = `/suggest?${new URLSearchParams({ q: text, limit: String(MOST) })}`;
      const response = await fetch(address, { signal, headers: { Accept: "application/json" } });
      if (!response.ok) return close(); // the form still searches
      const { hits } = (await response.json()) as { hits: Hit[] };
      if (!signal.aborted && document.activeElement === field) show(hits);
    } catch {
      if (!signal.aborted) close();
    }
  }

  function show(hits: readonly Hit[]): void {
    if (hits.length === 0) return close();
    list.replaceChildren(
      ...hits.map((hit, n) => {
        const option = document.createElement("li");
        option.id = `${list.id}-${n}`;
        option.setAttribute("role", "option");
        const name = document.createElement("span");
        name.textContent = hit.label;
        const about = document.createElement("small");
        about.textContent = `${hit.kind_label} · ${hit.curie}`;
        option.append(name, " ", about);
        option.dataset.page = hit.page;
        return option;
      }),
    );
    list.hidden = false;
    field.setAttribute("aria-expanded", "true");
    choose(-1);
    status.textContent = (form.dataset.told ?? "").replace("{n}", String(hits.length));
  }

  function go(option: Element | undefined): boolean {
    const page = option instanceof HTMLElement ? option.dataset.page : undefined;
    if (page?.startsWith("/")) location.assign(page);
    return page !== undefined;
  }

  field.addEventListener("input", (event) => {
    // Letters on their way to a Chinese character are no word yet.
    if (event instanceof InputEvent && event.isComposing) return;
    clearTimeout(timer);
    timer = setTimeout(() => void ask(), WAIT);
  });
  field.addEventListener("compositionend", () => {
    clearTimeout(timer);
    timer = setTimeout(() => void ask(), WAIT);
  });
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (list.hidden) {
      if (event.key === "ArrowDown" && field.value.trim()) {
        event.preventDefault();
        void ask();
      }
      return;
    }
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter" && chosen >= 0) go(list.children[chosen]);
    else {
      if (event.key === "Tab" || event.key === "Enter") close();
      return;
    }
    event.preventDefault();
  });
  field.addEventListener("blur", close);
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  list.addEventListener("click", (event) => {
    if (event.target instanceof Element) go(event.target.closest("li") ?? undefined);
  });
}
