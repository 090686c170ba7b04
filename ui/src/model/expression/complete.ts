// What can be written next in an expression. In: the text, the place of the caret and the names that are in the
// graph. Out: suggestions, each with the stretch of text that it replaces.
import { ExpressionError, type Token, tokenize } from "./lexer";
import { SUBJECTS, type Subject, subject } from "./subjects";

export interface Suggestion {
  text: string;
  help: string;
  start: number;
  end: number;
}

export interface Vocabulary {
  names: string[];
  namespaces: string[];
  versions: string[];
  apps: string[];
}

const LIMIT = 60;

export function complete(input: string, caret: number, words: Vocabulary): Suggestion[] {
  const tokens = tokensBefore(input.slice(0, caret));
  if (!tokens) return [];
  const last = tokens.at(-1);
  const typing = last?.kind === "word" && last.end === caret ? last : undefined;
  const before = typing ? tokens.slice(0, -1) : tokens;
  const start = typing?.start ?? caret;
  const prefix = typing?.text.toLowerCase() ?? "";
  return options(before, words)
    .filter((o) => o.text.toLowerCase().includes(prefix) && o.text.toLowerCase() !== prefix)
    .sort((a, b) => rank(a.text, prefix) - rank(b.text, prefix))
    .slice(0, LIMIT)
    .map((o) => ({ ...o, start, end: caret }));
}

function rank(text: string, prefix: string): number {
  return text.toLowerCase().startsWith(prefix) ? 0 : 1;
}

function tokensBefore(text: string): Token[] | undefined {
  try {
    return tokenize(text).filter((t) => t.kind !== "end");
  } catch (e) {
    if (e instanceof ExpressionError) return undefined;
    throw e;
  }
}

type Option = { text: string; help: string };

function options(before: Token[], words: Vocabulary): Option[] {
  const last = before.at(-1);
  const previous = before.at(-2);
  if (!last || ["and", "or", "not", "open"].includes(last.kind)) return subjects();
  if (isOperator(last) && previous?.kind === "word") return values(subject(previous.text), words);
  const about = last.kind === "word" && !(previous && isOperator(previous)) ? subject(last.text) : undefined;
  if (about) return about.type === "yes" ? joints() : operators(about);
  return joints();
}

function isOperator(token: Token): boolean {
  return token.kind === "operator" || /^(contains|startswith|endswith)$/i.test(token.text);
}

function subjects(): Option[] {
  return SUBJECTS.map((s) => ({ text: s.names[0], help: s.help }));
}

function joints(): Option[] {
  return [
    { text: "and", help: "both must hold" },
    { text: "or", help: "one of them must hold" },
  ];
}

function operators(about: Subject): Option[] {
  if (about.type === "number")
    return [">", ">=", "<", "<=", "=", "!="].map((text) => ({ text, help: "compare the number" }));
  return [
    { text: "=", help: "is exactly" },
    { text: "!=", help: "is not" },
    { text: "contains", help: "contains the text (also *=)" },
    { text: "startswith", help: "begins with the text (also ^=)" },
    { text: "endswith", help: "ends with the text (also $=)" },
  ];
}

function values(about: Subject | undefined, words: Vocabulary): Option[] {
  if (!about) return [];
  const known: Record<string, string[]> = {
    name: words.names,
    workload: words.names,
    service: words.names,
    source: words.names,
    target: words.names,
    namespace: words.namespaces,
    version: words.versions,
    app: words.apps,
  };
  const list = about.values ?? known[about.names[0]] ?? [];
  return list.map((text) => ({ text: /[\s()!=<>*^$&|"']/.test(text) ? `"${text}"` : text, help: "" }));
}
