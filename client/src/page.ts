// What the server's page gives the scripts: its words in the reader's language, the prefixes, the charts.

interface Chart {
  readonly must: readonly string[];
  readonly may: readonly string[];
}

interface Page {
  readonly words: Readonly<Record<string, string>>;
  readonly prefixes: Readonly<Record<string, string>>;
  readonly charts: Readonly<Record<string, Chart>>; // kind -> the columns it takes
  readonly base: string; // of the IRIs that this server has pages for
  readonly version: string; // the snapshot that the page was asked to speak of; "" for the current one
}

export const form = document.querySelector<HTMLFormElement>("#ask")!;
export const page = JSON.parse(form.dataset.page!) as Page;
export const language = document.documentElement.lang;

/** A text of the page, with `{n}` and the like filled in. */
export function say(key: string, values: Readonly<Record<string, string | number>> = {}): string {
  return (page.words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? value.toLocaleString("en") : value;
  });
}

type Child = Node | string | null;

/** An HTML element; `properties` that are functions become listeners. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Readonly<Record<string, string | boolean | ((event: Event) => void)>> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const namespaces = Object.entries(page.prefixes).sort((one, other) => other[1].length - one[1].length);
// What needs no escape after the colon of a prefixed name.
const LOCAL = /^[A-Za-z0-9_](?:[\w.-]*[\w-])?$/;

/** An IRI as a prefixed name, or null where no prefix of ours makes one. */
export function shortened(iri: string): string | null {
  for (const [prefix, namespace] of namespaces) {
    const local = iri.slice(namespace.length);
    if (iri.startsWith(namespace) && LOCAL.test(local)) return `${prefix}:${local}`;
  }
  return null;
}

/** Where this server has the page of a thing. */
export function pathOf(iri: string): string {
  if (iri.startsWith(page.base) && iri.length > page.base.length) return `/${iri.slice(page.base.length)}`;
  return `/thing?iri=${encodeURIComponent(shortened(iri) ?? iri)}`;
}

/** An address of this server, about the snapshot that the page is about. */
export function address(path: string, parameters: Readonly<Record<string, string>> = {}): string {
  const all = new URLSearchParams(parameters);
  if (page.version) all.set("version", page.version);
  return all.size ? `${path}?${all}` : path;
}
