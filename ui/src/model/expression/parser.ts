// Parses a find or hide expression. In: `node = workload and (%error > 5 or !healthy)`. Out: a tree, or an
// ExpressionError that points at the place. `not` binds strongest, then `and`, then `or`.
import { ExpressionError, type Token, tokenize } from "./lexer";
import { SUBJECTS, type Subject, subject, unanswered } from "./subjects";

export type Expression =
  | { kind: "and" | "or"; left: Expression; right: Expression }
  | { kind: "not"; inner: Expression }
  | { kind: "is"; subject: Subject }
  | { kind: "compare"; subject: Subject; operator: Operator; value: string | number };

export type Operator = "=" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "startswith" | "endswith";

const SYMBOLS: Record<string, [Operator, negated: boolean]> = {
  "=": ["=", false],
  "==": ["=", false],
  "!=": ["!=", false],
  "<": ["<", false],
  "<=": ["<=", false],
  ">": [">", false],
  ">=": [">=", false],
  "*=": ["contains", false],
  "!*=": ["contains", true],
  "^=": ["startswith", false],
  "!^=": ["startswith", true],
  "$=": ["endswith", false],
  "!$=": ["endswith", true],
  contains: ["contains", false],
  startswith: ["startswith", false],
  endswith: ["endswith", false],
  is: ["=", false],
};
const ORDERED = new Set<Operator>(["<", "<=", ">", ">="]);
const PARTS = new Set<Operator>(["contains", "startswith", "endswith"]);

/** Out: undefined for an expression of nothing but spaces. */
export function parse(input: string): Expression | undefined {
  const tokens = tokenize(input);
  if (tokens[0]?.kind === "end") return undefined;
  return new Parser(tokens).all();
}

class Parser {
  private at = 0;

  constructor(private readonly tokens: Token[]) {}

  all(): Expression {
    const tree = this.or();
    const rest = this.peek();
    if (rest.kind === "close") throw fail(rest, "this parenthesis was never opened");
    if (rest.kind !== "end") throw fail(rest, "“and” or “or” is missing before this");
    return tree;
  }

  private or(): Expression {
    let left = this.and();
    while (this.accept("or")) left = { kind: "or", left, right: this.and() };
    return left;
  }

  private and(): Expression {
    let left = this.not();
    while (this.accept("and")) left = { kind: "and", left, right: this.not() };
    return left;
  }

  private not(): Expression {
    if (this.accept("not")) return { kind: "not", inner: this.not() };
    const open = this.accept("open");
    if (!open) return this.term();
    const inner = this.or();
    if (!this.accept("close")) throw fail(open, "this parenthesis is never closed");
    return inner;
  }

  private term(): Expression {
    const token = this.take();
    if (token.kind !== "word") throw fail(token, "a name such as “name”, “node” or “%error” is missing here");
    const prefix = /^(is|has)$/i.test(token.text) && this.peek().kind === "word";
    const named = prefix ? this.take() : token;
    const about = subject(named.text);
    if (!about) throw fail(named, unknown(named.text));
    const negated = this.negatedOperator();
    const next = this.peek();
    const symbol =
      next.kind === "operator" || next.kind === "word" ? SYMBOLS[next.text.toLowerCase()] : undefined;
    if (!symbol) return this.flag(about, named);
    this.take();
    const compared = this.compare(about, symbol[0], next);
    return negated !== symbol[1] ? { kind: "not", inner: compared } : compared;
  }

  /** `name not contains x`. */
  private negatedOperator(): boolean {
    const following = this.tokens[this.at + 1];
    if (this.peek().kind !== "not" || !following || !SYMBOLS[following.text.toLowerCase()]) return false;
    this.take();
    return true;
  }

  private flag(about: Subject, token: Token): Expression {
    if (about.type !== "yes" && !about.bare) {
      const next = this.peek();
      const place = next.kind === "word" ? next : { ...next, start: token.end, end: token.end + 1 };
      const none = next.kind === "word" ? `: “${next.text.slice(0, 40)}” is none` : "";
      throw fail(place, `“${token.text}” needs a comparison, such as ${example(about)}${none}`);
    }
    return { kind: "is", subject: about };
  }

  private compare(about: Subject, operator: Operator, at: Token): Expression {
    const token = this.take();
    if (token.kind !== "word" && token.kind !== "text") throw fail(token, "a value is missing here");
    if (about.type === "number") {
      if (PARTS.has(operator))
        throw fail(at, `“${about.names[0]}” is a number: compare it with =, !=, <, <=, > or >=`);
      return { kind: "compare", subject: about, operator, value: numeric(token) };
    }
    if (ORDERED.has(operator)) throw fail(at, `“${about.names[0]}” is not a number: it has no order`);
    if (about.type === "yes") return yesNo(about, operator, token);
    known(about, operator, token);
    return { kind: "compare", subject: about, operator, value: token.text.toLowerCase() };
  }

  private peek(): Token {
    return this.tokens[this.at]!;
  }

  private take(): Token {
    const token = this.tokens[this.at]!;
    if (token.kind !== "end") this.at += 1;
    return token;
  }

  private accept(kind: Token["kind"]): Token | undefined {
    return this.peek().kind === kind ? this.take() : undefined;
  }
}

function yesNo(about: Subject, operator: Operator, token: Token): Expression {
  const value = token.text.toLowerCase();
  if (!/^(true|false|yes|no)$/.test(value)) throw fail(token, "this is either true or false");
  const wanted = (value === "true" || value === "yes") === (operator === "=");
  const is: Expression = { kind: "is", subject: about };
  return wanted ? is : { kind: "not", inner: is };
}

/** A word that is never one would find nothing, and not say why. */
function known({ names, values, silent = [] }: Subject, operator: Operator, token: Token): void {
  const value = token.text.toLowerCase();
  if (!values || PARTS.has(operator) || values.includes(value) || silent.includes(value)) return;
  throw fail(token, `“${names[0]}” is never “${token.text.slice(0, 40)}”: it is ${values.join(", ")}`);
}

const SCALE = new Map([
  ["", 1],
  ["%", 1],
  ["ms", 1],
  ["s", 1000],
  ["k", 1e3],
  ["kb", 1e3],
  ["m", 1e6],
  ["mb", 1e6],
  ["g", 1e9],
  ["gb", 1e9],
]);

function numeric(token: Token): number {
  const match = /^(-?\d+(?:\.\d+)?)([a-z%]*)$/i.exec(token.text);
  const scale = match ? SCALE.get(match[2]!.toLowerCase()) : undefined;
  if (!match || scale === undefined) throw fail(token, "a number is missing here");
  return Number(match[1]) * scale;
}

function fail(token: Token, message: string): ExpressionError {
  const found = token.kind === "end" ? `${message}: the expression ends too early` : message;
  return new ExpressionError(found, token.start, Math.max(token.end, token.start + 1));
}

function example(about: Subject): string {
  if (about.type === "number") return `${about.names[0]} > 5`;
  return about.values ? `${about.names[0]} = ${about.values[0]}` : `${about.names[0]} contains x`;
}

function unknown(text: string): string {
  const why = unanswered(text);
  if (why) return `“${text.slice(0, 40)}” cannot be asked here: ${why}`;
  const near = SUBJECTS.map((s) => s.names[0]).find((n) => n.startsWith(text.slice(0, 3).toLowerCase()));
  const hint = near ? `did you mean “${near}”?` : `did you mean “name contains ${text}”?`;
  return `“${text.slice(0, 40)}” is not something that can be asked about; ${hint}`;
}
