// An answer as a graph: things, and what leads from one to another.

import { type Table, type Term, namesOf, plain } from "./answer";
import { select } from "./chart";
import { make, pathOf, say } from "./page";

const MOST_NODES = 120; // more are a ball of wool
const WIDTH = 960;
const COLOURS = 8; // classes .c0 to .c7 of the style sheet
const SVG = "http://www.w3.org/2000/svg";

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly by: string;
}

/** The controls of a graph and its picture. */
export function graphOf(table: Table, isGraph: boolean): HTMLElement {
  const place = make("div", { class: "picture", tabindex: "0", role: "region", "aria-label": say("graph") });
  if (isGraph) {
    void draw(table, "subject", "predicate", "object", place);
    return place;
  }
  const things = table.columns.filter((name) => table.rows.some((row) => row[name]?.type === "uri"));
  const [from = "", second = from, third = ""] = things;
  let chosen: Record<string, string> = third ? { from, by: second, to: third } : { from, by: "", to: second };
  const choose = (role: string, value: string): void => {
    chosen = { ...chosen, [role]: value };
    void draw(table, chosen.from!, chosen.by!, chosen.to!, place);
  };
  const controls = ["from", "by", "to"].map((role) =>
    select(role, say(`graph-${role}`), role === "by" ? ["", ...table.columns] : table.columns, chosen[role]!, choose),
  );
  void draw(table, chosen.from!, chosen.by!, chosen.to!, place);
  return make("div", {}, make("div", { class: "row" }, ...controls), place);
}

async function draw(table: Table, from: string, by: string, to: string, place: HTMLElement): Promise<void> {
  const nodes = new Map<string, Term>();
  const edges = new Map<string, Edge>();
  const relations = new Map<string, Term | null>();
  let left = 0;
  const numberOf = (term: Term): number => {
    const key = plain(term);
    if (!nodes.has(key) && nodes.size >= MOST_NODES) return -1;
    nodes.set(key, term);
    return [...nodes.keys()].indexOf(key);
  };
  for (const row of table.rows) {
    const [one, relation, other] = [row[from], row[by] ?? null, row[to]];
    if (!one || !other || one.type === "literal" || other.type === "literal") {
      left += 1;
      continue;
    }
    const [start, end] = [numberOf(one), numberOf(other)];
    if (start < 0 || end < 0) {
      left += 1;
      continue;
    }
    const name = relation ? plain(relation) : "";
    relations.set(name, relation);
    edges.set(`${start} ${name} ${end}`, { from: start, to: end, by: name });
  }
  if (nodes.size === 0) {
    place.replaceChildren(make("p", { class: "notice", role: "status" }, say("no-graph")));
    return;
  }
  const iris = [...nodes.values(), ...relations.values()].flatMap((term) => (term?.type === "uri" ? term.value : []));
  const names = await namesOf(iris).catch(() => new Map<string, string | null>());
  const called = (term: Term): string => names.get(term.value) ?? plain(term);
  const terms = [...nodes.values()];
  const kinds = [...relations.keys()];
  const legend = kinds.filter(Boolean).map((kind) => {
    const key = make("span", { class: `key c${kinds.indexOf(kind) % COLOURS}` });
    return make("li", {}, key, called(relations.get(kind)!));
  });
  place.replaceChildren(
    picture(terms.map(called), terms, [...edges.values()], kinds),
    make("ul", { class: "legend" }, ...legend),
  );
  if (left) place.append(make("p", { class: "soft" }, say("graph-left-out", { n: left })));
}

function picture(labels: string[], terms: Term[], edges: Edge[], kinds: string[]): SVGElement {
  const height = Math.round(Math.min(900, 260 + 18 * Math.sqrt(labels.length) * 4));
  const at = placed(labels.length, edges, WIDTH, height);
  const title = svg("title", {}, say("graph-title", { n: labels.length, m: edges.length }));
  const lines = edges.flatMap(({ from, to, by }) => {
    const colour = `c${kinds.indexOf(by) % COLOURS}`;
    const [x1, y1] = at[from]!;
    const [x2, y2] = at[to]!;
    const long = Math.hypot(x2 - x1, y2 - y1) || 1;
    const [ux, uy] = [(x2 - x1) / long, (y2 - y1) / long];
    const [tx, ty] = [x2 - ux * 9, y2 - uy * 9]; // the arrow ends at the rim of the node
    const wing = (side: number): string => `${r(tx - ux * 8 - uy * 4 * side)},${r(ty - uy * 8 + ux * 4 * side)}`;
    const tip = svg("title", {}, [labels[from]!, by, labels[to]!].filter(Boolean).join(" – "));
    return [
      svg("line", { x1: r(x1), y1: r(y1), x2: r(tx), y2: r(ty), class: `chart-line thin ${colour}` }, tip),
      svg("polygon", { points: `${r(tx)},${r(ty)} ${wing(1)} ${wing(-1)}`, class: colour }),
    ];
  });
  const dots = labels.map((label, number) => {
    const [x, y] = at[number]!;
    const term = terms[number]!;
    const short = [...label].length > 26 ? `${[...label].slice(0, 25).join("")}…` : label;
    const dot = svg("circle", { cx: r(x), cy: r(y), r: 7, class: "node" }, svg("title", {}, label));
    const text = svg("text", { x: r(x), y: r(y + 21), "text-anchor": "middle", class: "chart-text node-text" }, short);
    return term.type === "uri" ? svg("a", { href: pathOf(term.value) }, dot, text) : svg("g", {}, dot, text);
  });
  const drawn = { viewBox: `0 0 ${WIDTH} ${height}`, width: WIDTH, height, class: "chart graph" };
  return svg("svg", drawn, title, ...lines, ...dots);
}

function svg(tag: string, attributes: Readonly<Record<string, string | number>>, ...children: (Node | string)[]): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

function r(value: number): string {
  return value.toFixed(1);
}

/** Where each node is: forces between all, springs along edges (Fruchterman and Reingold, 1991). The same each time. */
function placed(count: number, edges: readonly Edge[], width: number, height: number): [number, number][] {
  const at = Array.from({ length: count }, (_, n): [number, number] => {
    const turn = n * 2.399963; // the golden angle: a spiral, in which no two begin at one place
    const far = Math.sqrt((n + 0.5) / count) * 0.45;
    return [width * (0.5 + far * Math.cos(turn)), height * (0.5 + far * Math.sin(turn))];
  });
  const degree = Array.from({ length: count }, () => 1);
  for (const { from, to } of edges) for (const end of [from, to]) degree[end]! += 1;
  const ideal = Math.sqrt((width * height) / count);
  for (let step = 0; step < 300; step += 1) {
    const most = (width / 8) * (1 - step / 300);
    const push = at.map((): [number, number] => [0, 0]);
    const act = (one: number, other: number, force: (long: number) => number): void => {
      const [dx, dy] = [at[one]![0] - at[other]![0], at[one]![1] - at[other]![1]];
      const long = Math.max(Math.hypot(dx, dy), 0.1);
      const strength = force(long) / long;
      push[one]![0] += dx * strength;
      push[one]![1] += dy * strength;
      push[other]![0] -= dx * strength;
      push[other]![1] -= dy * strength;
    };
    for (let one = 0; one < count; one += 1)
      for (let other = 0; other < one; other += 1) {
        // What has many links needs room for them (as in ForceAtlas2, Jacomy and others, 2014).
        const weight = Math.sqrt(degree[one]! * degree[other]!);
        act(one, other, (long) => (0.4 * weight * ideal * ideal) / long);
      }
    for (const { from, to } of edges) if (from !== to) act(from, to, (long) => -(long * long) / ideal);
    at.forEach((place, n) => {
      const [px, py] = push[n]!;
      const long = Math.hypot(px, py) || 1;
      const far = Math.min(long, most) / long;
      place[0] += px * far;
      place[1] += py * far;
    });
  }
  return fitted(at, width, height);
}

function fitted(at: [number, number][], width: number, height: number): [number, number][] {
  const span = (axis: 0 | 1, low: number, high: number): ((value: number) => number) => {
    const values = at.map((place) => place[axis]);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return (value) => (most > least ? low + ((value - least) / (most - least)) * (high - low) : (low + high) / 2);
  };
  const [x, y] = [span(0, 90, width - 90), span(1, 14, height - 34)];
  return at.map((place) => [x(place[0]), y(place[1])]);
}
