// The SPARQL language in the editor: its tokens and colours, what may come next, prefixes that are missing.

import {
  type Completion,
  type CompletionContext,
  type CompletionResult,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from "@codemirror/autocomplete";
import {
  HighlightStyle,
  StreamLanguage,
  type StringStream,
  bracketMatching,
  syntaxHighlighting,
  syntaxTree,
} from "@codemirror/language";
import type { ChangeSpec, Extension, Text } from "@codemirror/state";
import { type EditorView, hoverTooltip, keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { address, language, make, page, say } from "./page";

// SPARQL 1.1 Query, section 19.8.
const KEYWORDS =
  "BASE PREFIX SELECT DISTINCT REDUCED CONSTRUCT DESCRIBE ASK FROM NAMED WHERE GROUP BY HAVING ORDER ASC DESC " +
  "LIMIT OFFSET VALUES UNDEF OPTIONAL GRAPH SERVICE SILENT UNION MINUS FILTER BIND AS IN NOT EXISTS SEPARATOR";
const FUNCTIONS =
  "COUNT SUM MIN MAX AVG SAMPLE GROUP_CONCAT STR LANG LANGMATCHES DATATYPE BOUND IRI URI BNODE RAND ABS CEIL " +
  "FLOOR ROUND CONCAT STRLEN UCASE LCASE ENCODE_FOR_URI CONTAINS STRSTARTS STRENDS STRBEFORE STRAFTER YEAR MONTH " +
  "DAY HOURS MINUTES SECONDS TIMEZONE TZ NOW UUID STRUUID MD5 SHA1 SHA256 SHA384 SHA512 COALESCE IF STRLANG STRDT " +
  "SAMETERM ISIRI ISURI ISBLANK ISLITERAL ISNUMERIC REGEX SUBSTR REPLACE";
const keywords = new Set(KEYWORDS.split(" "));
const functions = new Set(FUNCTIONS.split(" "));

interface State {
  quote: string; // what ends the string we are in; "" outside
  open: number; // brackets
}

function token(stream: StringStream, state: State): string | null {
  if (state.quote) {
    while (!stream.eol()) {
      if (stream.match(state.quote)) {
        state.quote = "";
        return "string";
      }
      if (stream.next() === "\\") stream.next();
    }
    if (state.quote.length === 1) state.quote = ""; // such a string ends with its line
    return "string";
  }
  if (stream.eatSpace()) return null;
  if (stream.match(/^#.*/)) return "comment";
  if (stream.match(/^<[^<>"{}|^`\\\s]*>/)) return "url";
  const quote = stream.match(/^("""|'''|"|')/) as RegExpMatchArray | null;
  if (quote) {
    state.quote = quote[0];
    return token(stream, state) ?? "string";
  }
  if (stream.match(/^[?$][\p{L}\p{N}_]+/u)) return "variableName";
  if (stream.match(/^_:[\p{L}\p{N}_](?:[\p{L}\p{N}_.-]*[\p{L}\p{N}_-])?/u)) return "labelName";
  if (stream.match(/^@[A-Za-z]+(?:-[A-Za-z0-9]+)*/)) return "meta";
  if (stream.match(/^(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/)) return "number";
  if (stream.match(/^(?:\p{L}(?:[\p{L}\p{N}_.-]*[\p{L}\p{N}_-])?)?:/u)) {
    stream.match(/^(?:\\.|%[0-9A-Fa-f]{2}|[\p{L}\p{N}_:.-](?![.]*(?:\s|$))|[\p{L}\p{N}_:-])*/u);
    return "propertyName";
  }
  const word = stream.match(/^[\p{L}_][\p{L}\p{N}_]*/u) as RegExpMatchArray | null;
  if (word) {
    const upper = word[0].toUpperCase();
    if (word[0] === "a" || keywords.has(upper)) return "keyword";
    if (functions.has(upper)) return "className";
    return upper === "TRUE" || upper === "FALSE" ? "bool" : "name";
  }
  if (stream.match(/^[{(]/)) {
    state.open += 1;
    return "bracket";
  }
  if (stream.match(/^[})]/)) {
    state.open = Math.max(0, state.open - 1);
    return "bracket";
  }
  if (stream.match(/^[[\]]/)) return "bracket";
  stream.next();
  return "operator";
}

const sparql = StreamLanguage.define<State>({
  name: "sparql",
  startState: () => ({ quote: "", open: 0 }),
  copyState: (state) => ({ ...state }),
  token,
  indent: (state, after, { unit }) => Math.max(0, state.open - (/^\s*[})]/.test(after) ? 1 : 0)) * unit,
  languageData: { commentTokens: { line: "#" }, closeBrackets: { brackets: ["(", "[", "{", '"'] } },
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--c2)", fontWeight: "600" },
  { tag: tags.className, color: "var(--c4)" },
  { tag: tags.variableName, color: "var(--c1)" },
  { tag: tags.propertyName, color: "var(--c0)" },
  { tag: tags.url, color: "var(--c0)", textDecoration: "underline" },
  { tag: tags.string, color: "var(--c5)" },
  { tag: [tags.number, tags.bool], color: "var(--c3)" },
  { tag: tags.meta, color: "var(--c6)" },
  { tag: tags.comment, color: "var(--soft)", fontStyle: "italic" },
]);

// ---------------------------------------------------------------------------------------- prefixes

const DECLARATION = /^[ \t]*PREFIX[ \t]+([\p{L}\p{N}_.-]*):[ \t]*<[^>]*>.*$/gimu;

function declared(text: string): Set<string> {
  return new Set(Array.from(text.matchAll(DECLARATION), (found) => found[1]!));
}

/** Prefixes of ours that a query uses and does not declare. */
export function missing(text: string): string[] {
  const bare = text.replace(/"""[^]*?"""|'''[^]*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|<[^<>\s]*>|#.*/g, " ");
  const used = Array.from(bare.matchAll(/(?<![\p{L}\p{N}_.?$:-])(\p{L}[\p{L}\p{N}_.-]*):/gu), (found) => found[1]!);
  const known = declared(text);
  return [...new Set(used)].filter((prefix) => prefix in page.prefixes && !known.has(prefix));
}

/** The change that declares prefixes, below those that a query has. */
export function declare(text: string, prefixes: readonly string[]): ChangeSpec {
  const last = [...text.matchAll(DECLARATION)].at(-1);
  const lines = prefixes.map((prefix) => `PREFIX ${prefix}: <${page.prefixes[prefix]}>`);
  if (last) return { from: last.index + last[0].length, insert: `\n${lines.join("\n")}` };
  return { from: 0, insert: `${lines.join("\n")}\n` };
}

// -------------------------------------------------------------------------------------- completion

const words: Completion[] = [
  ...[...keywords].map((label) => ({ label, boost: -1 })),
  ...[...functions].map((label) => ({ label, apply: `${label}(`, boost: -2 })),
];

function inText(context: CompletionContext): boolean {
  return ["comment", "string", "url"].includes(syntaxTree(context.state).resolveInner(context.pos, -1).name);
}

function variablesOf(doc: Text): Completion[] {
  const found = new Set(Array.from(doc.toString().matchAll(/[?$][\p{L}\p{N}_]+/gu), (each) => each[0]));
  return [...found].map((label) => ({ label }));
}

function prefixesFor(context: CompletionContext): CompletionResult | null {
  const typed = context.matchBefore(/PREFIX[ \t]+[\p{L}\p{N}_.-]*$/iu);
  if (!typed) return null;
  const options = Object.entries(page.prefixes).map(([prefix, iri]) => ({
    label: `${prefix}:`,
    detail: iri,
    apply: `${prefix}: <${iri}>\n`,
  }));
  return { from: typed.from + typed.text.search(/[^ \t]*$/), options, validFor: /^[\p{L}\p{N}_.-]*$/u };
}

/** Keywords, functions, variables that stand in the query, prefixes. */
function known(context: CompletionContext): CompletionResult | null {
  if (inText(context)) return null;
  const prefixes = prefixesFor(context);
  if (prefixes) return prefixes;
  const variable = context.matchBefore(/[?$][\p{L}\p{N}_]*/u);
  if (variable) {
    const others = variablesOf(context.state.doc).filter((each) => each.label !== variable.text);
    return { from: variable.from, options: others, validFor: /^[?$][\p{L}\p{N}_]*$/u };
  }
  const word = context.matchBefore(/[\p{L}_][\p{L}\p{N}_]*/u);
  if (!word && !context.explicit) return null;
  const prefixed = Object.keys(page.prefixes).map((prefix) => ({ label: `${prefix}:`, boost: -3 }));
  return { from: word?.from ?? context.pos, options: [...words, ...prefixed], validFor: /^[\p{L}\p{N}_]*$/u };
}

interface Hit {
  iri: string;
  curie: string;
  kind: string;
  label: string;
  matched: string;
  description: string;
}

async function suggested(text: string, limit: number, signal: AbortSignal): Promise<Hit[]> {
  const found = await fetch(address("/suggest", { q: text, limit: String(limit), lang: language }), { signal });
  return found.ok ? ((await found.json()) as { hits: Hit[] }).hits : [];
}

function written(hit: Hit): { text: string; prefix: string | null } {
  const prefix = hit.curie.slice(0, hit.curie.indexOf(":"));
  const local = hit.curie.slice(prefix.length + 1);
  const fits = prefix in page.prefixes && /^[A-Za-z0-9_](?:[\w.-]*[\w-])?$/.test(local);
  return fits ? { text: hit.curie, prefix } : { text: `<${hit.iri}>`, prefix: null };
}

/** Terms of this graph, by name in any of the languages or by identifier; taking one declares its prefix. */
async function terms(context: CompletionContext): Promise<CompletionResult | null> {
  if (inText(context) || prefixesFor(context)) return null;
  const typed = context.matchBefore(/(?:[A-Za-z][\w.-]*:)?[\p{L}\p{N}_.-]+/u);
  if (!typed || /^[\d.]/.test(typed.text) || /[?$@:]/.test(context.state.sliceDoc(Math.max(0, typed.from - 1), typed.from))) return null;
  if (typed.text.length < (/\p{Script=Han}/u.test(typed.text) ? 1 : 3) && !context.explicit) return null;
  const controller = new AbortController();
  context.addEventListener("abort", () => controller.abort(), { onDocChange: true });
  const hits = await suggested(typed.text, 9, controller.signal).catch(() => [] as Hit[]);
  const options = hits.map((hit) => ({
    label: hit.label,
    detail: hit.curie,
    info: hit.description && hit.description !== hit.label ? hit.description.slice(0, 400) : undefined,
    apply: (view: EditorView, _: Completion, from: number, to: number) => {
      const { text, prefix } = written(hit);
      const before = view.state.doc.toString();
      const needed = prefix !== null && !declared(before).has(prefix) ? [declare(before, [prefix])] : [];
      const changes = view.state.changes([...needed, { from, to, insert: text }]);
      const end = changes.mapPos(to, 1);
      view.dispatch({ changes, selection: { anchor: end }, userEvent: "input.complete" });
    },
  }));
  return options.length ? { from: typed.from, options, filter: false } : null;
}

/** What a prefixed name under the pointer means. */
const meaning = hoverTooltip(async (view, position) => {
  const line = view.state.doc.lineAt(position);
  for (const found of line.text.matchAll(/(?<![\w:])[A-Za-z][\w.-]*:[\w.-]*\w/g)) {
    const from = line.from + found.index;
    if (position < from || position > from + found[0].length) continue;
    const hits = await suggested(found[0], 5, AbortSignal.timeout(5000)).catch(() => [] as Hit[]);
    const hit = hits.find((each) => each.curie === found[0]);
    if (!hit) return null;
    const dom = make("div", { class: "meaning" }, make("strong", {}, hit.label));
    if (hit.description && hit.description !== hit.label) dom.append(make("div", {}, hit.description.slice(0, 400)));
    return { pos: from, end: from + found[0].length, above: true, create: () => ({ dom }) };
  }
  return null;
});

/** Everything that makes the editor one of SPARQL. */
export function sparqlLanguage(): Extension {
  return [
    sparql,
    syntaxHighlighting(colours),
    bracketMatching(),
    closeBrackets(),
    autocompletion({ override: [known, terms], icons: false, maxRenderedOptions: 12 }),
    meaning,
    keymap.of([...closeBracketsKeymap, ...completionKeymap]),
  ];
}

/** The words that CodeMirror itself says to people. */
export function phrases(): Record<string, string> {
  return { Completions: say("completions"), Diagnostics: say("errors") };
}
