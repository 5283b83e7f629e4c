// Asking the endpoint, stopping what was asked, and reading what comes back.

import { address, language, shortened } from "./page";

export interface Term {
  readonly type: "uri" | "literal" | "bnode";
  readonly value: string;
  readonly "xml:lang"?: string;
  readonly datatype?: string;
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly Readonly<Record<string, Term>>[];
}

export interface Answer {
  readonly table: Table | boolean; // a boolean for ASK
  readonly graph: boolean; // whether the query gives a graph; its table is subject, predicate, object
  readonly milliseconds: number;
  readonly snapshot: string;
}

/** What the server says of a query that it does not answer (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly title: string,
    detail: string,
    readonly slug: string,
    readonly line?: number,
    readonly column?: number,
  ) {
    super(detail);
  }
}

/** The answer is more than a page can show. */
export class TooLarge extends Error {}

const ACCEPTED =
  "application/sparql-results+json, application/n-triples;q=0.9, application/problem+json;q=0.8";
const MOST_BYTES = 30_000_000;

/** A query that was sent. */
export class Asked {
  readonly answer: Promise<Answer>;
  private readonly id = newId();
  private readonly aborter = new AbortController();

  constructor(text: string) {
    this.answer = this.ask(text);
  }

  /** Have the server stop; where it knows of no such query any more, stop listening. */
  async stop(): Promise<void> {
    const told = await fetch(`/queries/running/${this.id}`, { method: "DELETE" }).catch(() => null);
    if (!told?.ok) this.aborter.abort();
  }

  private async ask(text: string): Promise<Answer> {
    const begun = performance.now();
    const response = await fetch(address("/sparql"), {
      method: "POST",
      headers: { "Content-Type": "application/sparql-query", Accept: ACCEPTED, "X-Stroma-Query-Id": this.id },
      body: text,
      signal: this.aborter.signal,
    });
    const type = response.headers.get("Content-Type") ?? "";
    const body = await read(response, this.aborter);
    if (!response.ok) throw problemIn(body, response);
    const graph = type.startsWith("application/n-triples");
    return {
      table: graph ? triples(body) : solutions(body),
      graph,
      milliseconds: performance.now() - begun,
      snapshot: response.headers.get("X-Stroma-Snapshot") ?? "",
    };
  }
}

function newId(): string {
  // Not crypto.randomUUID: it is only there over https and on localhost.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function read(response: Response, aborter: AbortController): Promise<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const pieces: string[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return pieces.join("");
    pieces.push(value);
    size += value.length;
    if (size > MOST_BYTES) {
      aborter.abort();
      throw new TooLarge();
    }
  }
}

function problemIn(body: string, response: Response): Problem {
  try {
    const told = JSON.parse(body) as Record<string, unknown>;
    return new Problem(
      String(told.title),
      String(told.detail),
      response.headers.get("X-Stroma-Problem") ?? "",
      told.line as number | undefined,
      told.column as number | undefined,
    );
  } catch {
    return new Problem(`${response.status} ${response.statusText}`, body.slice(0, 2000), "");
  }
}

interface Results {
  head: { vars?: string[] };
  boolean?: boolean;
  results?: { bindings: Record<string, Term>[] };
}

function solutions(body: string): Table | boolean {
  const found = JSON.parse(body) as Results;
  if (found.boolean !== undefined) return found.boolean;
  return { columns: found.head.vars ?? [], rows: found.results?.bindings ?? [] };
}

const NODE = String.raw`<[^>]*>|_:\S+`;
const LITERAL = String.raw`"(?:[^"\\]|\\.)*"(?:@[A-Za-z0-9-]+|\^\^<[^>]*>)?`;
const TRIPLE = new RegExp(String.raw`^(${NODE}) <([^>]*)> (${NODE}|${LITERAL}) \.$`, "gm");

/** N-Triples as a table of three columns. */
function triples(body: string): Table {
  const rows = Array.from(body.matchAll(TRIPLE), ([, subject, predicate, object]) => ({
    subject: term(subject!),
    predicate: { type: "uri" as const, value: unescaped(predicate!) },
    object: term(object!),
  }));
  return { columns: ["subject", "predicate", "object"], rows };
}

function term(text: string): Term {
  if (text.startsWith("<")) return { type: "uri", value: unescaped(text.slice(1, -1)) };
  if (text.startsWith("_:")) return { type: "bnode", value: text.slice(2) };
  const end = text.lastIndexOf('"');
  const value = unescaped(text.slice(1, end));
  const rest = text.slice(end + 1);
  if (rest.startsWith("@")) return { type: "literal", value, "xml:lang": rest.slice(1) };
  if (rest.startsWith("^^")) return { type: "literal", value, datatype: rest.slice(3, -1) };
  return { type: "literal", value };
}

const ESCAPES: Readonly<Record<string, string>> = { t: "\t", b: "\b", n: "\n", r: "\r", f: "\f" };

function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))/g, (_, four, eight, one: string) =>
    one ? (ESCAPES[one] ?? one) : String.fromCodePoint(parseInt(four ?? eight, 16)),
  );
}

const NUMBERS = /#(?:integer|decimal|double|float|(?:non)?(?:positive|negative)Integer|long|int|short|byte|unsigned\w+)$/;

/** Whether a term is a number. */
export function isNumber(term: Term): boolean {
  return term.type === "literal" && NUMBERS.test(term.datatype ?? "");
}

/** A term as one reads it: a prefixed name for an IRI. */
export function plain(term: Term): string {
  if (term.type === "uri") return shortened(term.value) ?? term.value;
  return term.type === "bnode" ? `_:${term.value}` : term.value;
}

// --------------------------------------------------------------------------------------------- names

const names = new Map<string, string | null>(); // null: asked for, and there is none
const SAFE = /^https?:[^\s<>"{}|^`\\]+$/;
const MOST_NAMES = 300; // in one query

/** What the graph calls things, in the reader's language; each is asked for once. */
export async function namesOf(iris: Iterable<string>): Promise<ReadonlyMap<string, string | null>> {
  const wanted = [...new Set(iris)].filter((iri) => !names.has(iri) && SAFE.test(iri)).slice(0, MOST_NAMES);
  if (wanted.length) {
    const values = wanted.map((iri) => `<${iri}>`).join(" ");
    const text = `PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#> PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
PREFIX dcterms: <http://purl.org/dc/terms/>
SELECT DISTINCT ?thing ?name WHERE { VALUES ?thing { ${values} } ?thing skos:prefLabel|rdfs:label|dcterms:title ?name }`;
    const { table } = await new Asked(text).answer;
    if (typeof table === "object") {
      const order = [language.toLowerCase(), "", "en"];
      const best = new Map<string, number>();
      for (const { thing, name } of table.rows) {
        const place = order.indexOf((name!["xml:lang"] ?? "").toLowerCase());
        if (place < 0 || place >= (best.get(thing!.value) ?? order.length)) continue;
        best.set(thing!.value, place);
        names.set(thing!.value, name!.value);
      }
    }
    for (const iri of wanted) if (!names.has(iri)) names.set(iri, null);
  }
  return names;
}
