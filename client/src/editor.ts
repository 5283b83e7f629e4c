// The SPARQL editor: what stands around the text, and what happens when it runs.

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { indentOnInput, indentUnit } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { type Answer, Asked, Problem, TooLarge } from "./answer";
import { type Hint, chartOf } from "./chart";
import { graphOf } from "./graph";
import { address, form, language, make, say } from "./page";
import { declare, missing, phrases, sparqlLanguage } from "./sparql";
import { tableOf } from "./table";

const LONGEST_ADDRESS = 8000; // that other programs and people's mail let through
const find = <T extends HTMLElement>(selector: string): T => form.ownerDocument.querySelector<T>(selector)!;
const field = find<HTMLTextAreaElement>("#query");
const runButton = find<HTMLButtonElement>("#run");
const stopButton = find<HTMLButtonElement>("#stop");
const status = find("#status");
const clock = find("#clock");
const trouble = find("#trouble");
const answerPlace = find("#answer");
const permalink = find<HTMLAnchorElement>("#permalink");

let asked: Asked | null = null;
let hint: Hint | null = null; // what chart suits the example that was opened

// -------------------------------------------------------------------------------------------- text

// The look of the editor. In a shadow root it is a style sheet that the script adopts, which a policy without
// inline styles allows; in the page it would be a <style>, which that policy forbids.
const look = EditorView.theme({
  "&": { height: "100%", color: "var(--ink)", backgroundColor: "var(--code)", fontSize: "0.9rem" },
  "&.cm-focused": { outline: "none" }, // the frame has one
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", overflow: "auto" },
  ".cm-content": { caretColor: "var(--ink)", padding: "8px 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)", borderLeftWidth: "2px" },
  ".cm-gutters": { backgroundColor: "var(--code)", color: "var(--soft)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--accent) 7%, transparent)" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 28%, transparent)",
  },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--tint)", outline: "1px solid var(--accent)" },
  ".cm-tooltip": { backgroundColor: "var(--card)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "8px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "inherit", maxHeight: "none", maxWidth: "min(90vw, 30rem)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 8px", overflow: "hidden", textOverflow: "ellipsis" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { color: "inherit", opacity: "0.8", fontStyle: "normal", marginLeft: "1em" },
  ".cm-completionInfo, .meaning": { padding: "6px 10px", maxWidth: "26rem", fontFamily: "var(--latin)" },
  ".cm-diagnostic": { fontFamily: "var(--latin)" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--warn)" },
});

// Typing over a selection: a browser that does it itself makes styled text for a moment, which the policy reports.
const typing = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    const typed = event.data;
    if (event.inputType !== "insertText" || typed === null || empty || event.isComposing) return false;
    const insert = () =>
      view.state.update({
        changes: { from, to, insert: typed },
        selection: { anchor: from + typed.length },
        userEvent: "input.type",
        scrollIntoView: true,
      });
    const handled = view.state.facet(EditorView.inputHandler).some((handle) => handle(view, from, to, typed, insert));
    if (!handled) view.dispatch(insert());
    event.preventDefault();
    return true;
  },
});

const view = ((): EditorView => {
  const place = find("#editor");
  const root = place.attachShadow({ mode: "open" });
  const state = EditorState.create({
    doc: field.value,
    extensions: [
      keymap.of([{ key: "Mod-Enter", run: () => (void run(), true) }]),
      lineNumbers(),
      lintGutter(),
      history(),
      highlightSpecialChars(),
      drawSelection(),
      highlightActiveLine(),
      highlightActiveLineGutter(),
      indentOnInput(),
      indentUnit.of("  "),
      EditorView.lineWrapping,
      EditorState.phrases.of(phrases()),
      sparqlLanguage(),
      typing,
      // Tab is not bound: it leaves the editor, as in any field.
      keymap.of([...defaultKeymap, ...historyKeymap]),
      look,
      EditorView.contentAttributes.of({ "aria-label": say("field"), tabindex: "0", spellcheck: "false", autocapitalize: "off" }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) changed();
      }),
    ],
  });
  const made = new EditorView({ state, root });
  root.append(made.dom);
  place.hidden = false;
  field.hidden = true;
  return made;
})();

const text = (): string => view.state.doc.toString();

function replace(whole: string): void {
  view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: whole }, selection: { anchor: 0 }, scrollIntoView: true });
}

/** The address that brings this text back, or null where it would be too long. */
function linkTo(query: string): string | null {
  const link = address("/editor", { query });
  return link.length <= LONGEST_ADDRESS ? link : null;
}

function changed(): void {
  field.value = text();
  const link = linkTo(text());
  permalink.hidden = link === null;
  if (link !== null) permalink.href = link;
}

// --------------------------------------------------------------------------------------------- run

async function run(): Promise<void> {
  if (asked) return;
  const query = text();
  forget();
  const link = linkTo(query);
  window.history.replaceState(null, "", link ?? address("/editor"));
  const begun = performance.now();
  const ticking = setInterval(() => {
    clock.textContent = `${Math.round((performance.now() - begun) / 1000)} s`;
  }, 1000);
  asked = new Asked(query);
  stopButton.hidden = false;
  runButton.disabled = true;
  status.textContent = say("running");
  try {
    show(await asked.answer, query);
  } catch (problem) {
    status.textContent = "";
    complain(problem);
  } finally {
    asked = null;
    clearInterval(ticking);
    clock.textContent = "";
    stopButton.hidden = true;
    runButton.disabled = false;
  }
}

function forget(): void {
  trouble.replaceChildren();
  answerPlace.replaceChildren();
  view.dispatch(setDiagnostics(view.state, []));
}

function complain(problem: unknown): void {
  if (problem instanceof TooLarge) {
    trouble.replaceChildren(make("p", { class: "notice" }, say("too-large")), downloads(text(), false));
  } else if (
    (problem instanceof DOMException && problem.name === "AbortError") ||
    (problem instanceof Problem && problem.slug === "query-cancelled")
  ) {
    trouble.replaceChildren(make("p", { class: "notice" }, say("stopped")));
  } else if (problem instanceof Problem) {
    const notice = make("div", { class: "notice" });
    if (!problem.message.startsWith(problem.title)) notice.append(make("strong", {}, problem.title));
    notice.append(make("p", {}, problem.message));
    const absent = missing(text());
    if (problem.slug === "query-syntax" && absent.length) {
      const add = (): void => {
        view.dispatch({ changes: declare(text(), absent) });
        void run();
      };
      notice.append(make("button", { type: "button", class: "plain", click: add }, say("declare", { names: absent.map((each) => `${each}:`).join(", ") })));
    }
    trouble.replaceChildren(notice);
    if (problem.line !== undefined && problem.column !== undefined) mark(problem.line, problem.column, problem.message);
  } else {
    trouble.replaceChildren(make("p", { class: "notice" }, say("unreachable")));
  }
}

/** Mark the place of an error: `column` counts characters, not UTF-16 units, from 1. */
function mark(number: number, column: number, message: string): void {
  const line = view.state.doc.line(Math.min(number, view.state.doc.lines));
  const at = line.from + [...line.text].slice(0, column - 1).join("").length;
  const after = /^\s*[^\s{}()[\];,]+/.exec(line.text.slice(at - line.from));
  // At the end of a line what is wrong is the word before.
  const from = after ? at : line.from + line.text.slice(0, at - line.from).search(/\S*\s*$/);
  const to = after ? at + after[0].length : line.to;
  const diagnostic: Diagnostic = { from: Math.min(from, to), to, severity: "error", message };
  view.dispatch(setDiagnostics(view.state, [diagnostic]), { selection: { anchor: Math.min(at, line.to) }, scrollIntoView: true });
  view.focus();
}

// ------------------------------------------------------------------------------------------ answer

function show(answer: Answer, query: string): void {
  const { table } = answer;
  const about = { ms: Math.round(answer.milliseconds), snapshot: answer.snapshot };
  if (typeof table === "boolean") {
    status.textContent = say("answered-yes-no", about);
    answerPlace.replaceChildren(make("p", { class: "verdict" }, say(table ? "yes" : "no")), downloads(query, answer.graph));
    return;
  }
  status.textContent = say(answer.graph ? "answered-graph" : "answered", { n: table.rows.length, ...about });
  const place = make("div", { id: "view" });
  const views: [string, () => HTMLElement][] = [
    ["table", () => tableOf(table)],
    ["chart", () => chartOf(table, /^\s*#\s*(.+)/.exec(query)?.[1] ?? say("chart"), hint)],
    ["graph", () => graphOf(table, answer.graph)],
  ];
  const buttons = views.map(([name, view]) => {
    const choose = (): void => {
      for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
      place.replaceChildren(view());
    };
    const button = make("button", { type: "button", class: "plain", "aria-pressed": "false", click: choose }, say(name));
    return button;
  });
  const switcher = make("div", { class: "views", role: "group", "aria-label": say("views") }, ...buttons);
  answerPlace.replaceChildren(make("div", { class: "row bar" }, switcher, downloads(query, answer.graph)), place);
  buttons[0]!.click();
}

function downloads(query: string, graph: boolean): HTMLElement {
  const formats = graph ? ["turtle", "ntriples", "jsonld", "rdfxml"] : ["csv", "tsv", "json", "xml"];
  const named = (key: string): string => form.querySelector(`option[value="${key}"]`)?.textContent ?? key;
  const links = formats.map((format) =>
    make("a", { href: address("/sparql", { query, format }), download: `stroma.${format === "ntriples" ? "nt" : format}` }, named(format)),
  );
  return make("p", { class: "downloads" }, `${say("download")} `, ...links.flatMap((link, n) => (n ? [" · ", link] : [link])));
}

// ---------------------------------------------------------------------------------------- examples

interface Question {
  id: string;
  topic: string;
  question: Record<string, string>;
  chart: Partial<Hint>;
  sparql: string;
}

async function offerExamples(): Promise<void> {
  const response = await fetch(address("/queries"), { headers: { Accept: "application/json" } });
  if (!response.ok) return; // plain files have no questions
  const { questions } = (await response.json()) as { questions: Question[] };
  const chooser = find<HTMLSelectElement>("#example");
  const called = (question: Question): string => question.question[language] ?? question.question.en ?? question.id;
  for (const topic of new Set(questions.map((each) => each.topic))) {
    const members = questions.filter((each) => each.topic === topic);
    chooser.append(make("optgroup", { label: topic }, ...members.map((each) => make("option", { value: each.id }, called(each)))));
  }
  chooser.addEventListener("change", () => {
    const question = questions.find((each) => each.id === chooser.value);
    if (question) void open(question, called(question));
  });
  chooser.parentElement!.hidden = false;
  chooser.parentElement!.nextElementSibling!.remove();
}

async function open(question: Question, title: string): Promise<void> {
  const response = await fetch(question.sparql).catch(() => null);
  if (!response?.ok) {
    trouble.replaceChildren(make("p", { class: "notice" }, say("unreachable")));
    return;
  }
  hint = question.chart.kind ? (question.chart as Hint) : null;
  // Its header is for programs; what it asks is enough for people.
  const body = (await response.text()).replace(/^#\+.*\n/gm, "").trimStart();
  replace(`# ${title}\n${body}`);
  await run();
}

// ------------------------------------------------------------------------------------------- start

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void run();
});
stopButton.addEventListener("click", () => void asked?.stop());
find("#as").hidden = true; // the answer comes into this page
find("#keys").classList.remove("waiting");
changed();
if (new URLSearchParams(location.search).has("query")) void run();
void offerExamples().catch(() => undefined);
