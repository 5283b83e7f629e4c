// An answer as a table, a piece at a time, with what the graph calls each thing.

import { type Table, type Term, isNumber, namesOf } from "./answer";
import { plain } from "./answer";
import { language, make, pathOf, say } from "./page";

const PIECE = 200; // rows that are shown at a time

/** The table of an answer; more rows come when they are asked for. */
export function tableOf(table: Table): HTMLElement {
  const numeric = new Set(numericColumns(table));
  const body = make("tbody");
  const more = make("button", { type: "button", class: "plain", click: () => grow() });
  let shown = 0;

  function grow(): void {
    const rows = table.rows.slice(shown, shown + PIECE);
    const things = new Map<string, HTMLElement[]>();
    body.append(
      ...rows.map((row) =>
        make("tr", {}, ...table.columns.map((name) => cell(row[name], numeric.has(name), things))),
      ),
    );
    shown += rows.length;
    more.hidden = shown >= table.rows.length;
    more.textContent = say("more-rows", { n: Math.min(PIECE, table.rows.length - shown) });
    void namesOf(things.keys()).then((names) => {
      for (const [iri, places] of things) {
        const name = names.get(iri);
        for (const place of places) place.textContent = name ?? "";
      }
    }, () => undefined); // a table without names is a table
  }

  grow();
  const head = make("tr", {}, ...table.columns.map((name) => make("th", { scope: "col" }, name)));
  const whole = make("table", {}, make("thead", {}, head), body);
  const frame = make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": say("table") }, whole);
  return make("div", {}, frame, make("p", {}, more));
}

function cell(term: Term | undefined, numeric: boolean, things: Map<string, HTMLElement[]>): HTMLElement {
  if (!term) return make("td");
  if (term.type === "uri") {
    const name = make("span", { class: "named" });
    things.set(term.value, [...(things.get(term.value) ?? []), name]);
    return make("td", {}, make("a", { href: pathOf(term.value), title: term.value }, plain(term)), name);
  }
  const properties: Record<string, string> = numeric ? { class: "number" } : {};
  if (term["xml:lang"]) properties.lang = term["xml:lang"];
  if (term.datatype) properties.title = term.datatype;
  const tag = term["xml:lang"] && term["xml:lang"] !== language ? make("span", { class: "tag" }, term["xml:lang"]) : null;
  return make("td", properties, plain(term), tag);
}

/** The columns in which every term is a number. */
export function numericColumns(table: Table): string[] {
  return table.columns.filter((name) => {
    const terms = table.rows.flatMap((row) => row[name] ?? []);
    return terms.length > 0 && terms.every(isNumber);
  });
}
