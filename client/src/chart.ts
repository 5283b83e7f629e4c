// An answer as a chart. The server draws it, as it draws those of the ready questions: one set of charts.

import { type Table, namesOf, plain } from "./answer";
import { make, page, say } from "./page";
import { numericColumns } from "./table";

export interface Hint {
  readonly kind: string;
  readonly [role: string]: string; // role -> column
}

const MOST_ROWS = 2000; // that are sent to be drawn

/** The controls of a chart and the chart; `hint` says what to draw where its columns are there. */
export function chartOf(table: Table, title: string, hint: Hint | null): HTMLElement {
  const fits = hint !== null && Object.entries(hint).every(([role, column]) => role === "kind" || table.columns.includes(column));
  let chosen: Record<string, string> = fits ? { ...hint } : guess(table);
  const controls = make("div", { class: "row" });
  const place = make("div", { class: "picture", tabindex: "0", role: "region", "aria-label": say("chart") });
  let turn = 0;

  function choose(role: string, value: string): void {
    chosen = role === "kind" ? guess(table, value) : { ...chosen, [role]: value };
    show();
    controls.querySelector<HTMLSelectElement>(`select[name="chart-${role}"]`)?.focus();
  }

  function show(): void {
    const { must, may } = page.charts[chosen.kind!]!;
    controls.replaceChildren(
      select("kind", say("chart-kind"), Object.keys(page.charts), chosen.kind!, choose, (kind) => say(`chart-${kind}`)),
      ...must.map((role) => select(role, say(`role-${role}`), table.columns, chosen[role] ?? "", choose)),
      ...may.map((role) => select(role, say(`role-${role}`), ["", ...table.columns], chosen[role] ?? "", choose)),
    );
    void draw();
  }

  async function draw(): Promise<void> {
    const mine = ++turn;
    const roles = Object.fromEntries(Object.entries(chosen).filter(([role, column]) => role !== "kind" && column));
    const rows = await textsOf(table, [...new Set(Object.values(roles))]);
    const response = await fetch("/editor/chart", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "image/svg+xml, application/problem+json" },
      body: JSON.stringify({ kind: chosen.kind, roles, rows, title }),
    }).catch(() => null);
    const body = await response?.text();
    if (mine !== turn) return; // something else was chosen meanwhile
    if (!response?.ok || body === undefined) {
      place.replaceChildren(make("p", { class: "notice", role: "status" }, detail(body) ?? say("unreachable")));
      return;
    }
    const svg = new DOMParser().parseFromString(body, "image/svg+xml").documentElement;
    place.replaceChildren(document.importNode(svg, true));
    const left = Number(response.headers.get("X-Stroma-Left-Out")) + Math.max(0, table.rows.length - MOST_ROWS);
    if (left) place.append(make("p", { class: "soft" }, say("left-out", { n: left })));
  }

  show();
  return make("div", {}, controls, place);
}

function detail(body: string | undefined): string | null {
  try {
    return String((JSON.parse(body ?? "") as { detail: unknown }).detail);
  } catch {
    return null;
  }
}

async function textsOf(table: Table, columns: readonly string[]): Promise<Record<string, string>[]> {
  const rows = table.rows.slice(0, MOST_ROWS);
  const iris = rows.flatMap((row) => columns.flatMap((name) => (row[name]?.type === "uri" ? row[name].value : [])));
  const names = await namesOf(iris).catch(() => new Map<string, string | null>());
  return rows.map((row) =>
    Object.fromEntries(
      columns.map((name) => {
        const term = row[name];
        return [name, term ? (names.get(term.value) ?? plain(term)) : ""];
      }),
    ),
  );
}

/** What is likely meant: names along the side, numbers along the axis. */
function guess(table: Table, kind?: string): Record<string, string> {
  const numbers = numericColumns(table);
  const others = table.columns.filter((name) => !numbers.includes(name));
  const first = table.columns[0] ?? "";
  const [one = first, two = one, three = two] = others;
  const [low = table.columns.at(-1) ?? "", high = low] = numbers;
  const likely = numbers.length === 0 ? "network" : others.length === 0 && numbers.length > 1 ? "lines" : "bars";
  const found = { kind: kind ?? likely, label: one, value: low, x: low, y: high, low, high, source: one };
  const network = others.length > 2 ? { relation: two, target: three } : { relation: one, target: two };
  const all: Record<string, string> = { ...found, ...network };
  const { must } = page.charts[all.kind!]!;
  return Object.fromEntries(["kind", ...must].map((role) => [role, all[role] ?? first]));
}

export function select(
  role: string,
  label: string,
  values: readonly string[],
  value: string,
  choose: (role: string, value: string) => void,
  say: (value: string) => string = (each) => each || "–",
): HTMLElement {
  const options = values.map((each) => make("option", { value: each, selected: each === value }, say(each)));
  const made = make("select", { name: `chart-${role}`, change: () => choose(role, made.value) }, ...options);
  return make("label", {}, label, made);
}
