// Splits a find or hide expression into tokens. In: the text. Out: tokens with their place, or the place that
// is wrong.

export interface Token {
  kind: "word" | "text" | "operator" | "open" | "close" | "and" | "or" | "not" | "end";
  text: string;
  start: number;
  end: number;
}

export class ExpressionError extends Error {
  constructor(
    message: string,
    readonly start: number,
    readonly end: number,
  ) {
    super(message);
  }
}

/** Longest first, so that `!=` is not read as `!`. */
const OPERATORS = ["!*=", "!^=", "!$=", "*=", "^=", "$=", "!=", "<=", ">=", "==", "=", "<", ">"] as const;
const WORD = /[^\s()!=<>*^$&|"']/;
const KEYWORDS = new Map<string, Token["kind"]>([
  ["and", "and"],
  ["or", "or"],
  ["not", "not"],
]);

export function tokenize(input: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < input.length) {
    const c = input[at]!;
    if (/\s/.test(c)) {
      at += 1;
      continue;
    }
    const token = quoted(input, at) ?? symbol(input, at) ?? word(input, at);
    if (!token) throw new ExpressionError(`“${c}” does not belong here`, at, at + 1);
    tokens.push(token);
    at = token.end;
  }
  tokens.push({ kind: "end", text: "", start: input.length, end: input.length });
  return tokens;
}

function quoted(input: string, at: number): Token | undefined {
  const quote = input[at];
  if (quote !== '"' && quote !== "'") return undefined;
  const close = input.indexOf(quote, at + 1);
  if (close < 0) throw new ExpressionError("the quotation mark is never closed", at, input.length);
  return { kind: "text", text: input.slice(at + 1, close), start: at, end: close + 1 };
}

function symbol(input: string, at: number): Token | undefined {
  const make = (kind: Token["kind"], text: string): Token => ({
    kind,
    text,
    start: at,
    end: at + text.length,
  });
  const rest = input.slice(at, at + 3);
  if (rest[0] === "(") return make("open", "(");
  if (rest[0] === ")") return make("close", ")");
  if (rest.startsWith("&&")) return make("and", "&&");
  if (rest.startsWith("||")) return make("or", "||");
  const operator = OPERATORS.find((o) => rest.startsWith(o));
  if (operator) return make("operator", operator);
  return rest[0] === "!" ? make("not", "!") : undefined;
}

function word(input: string, at: number): Token | undefined {
  let end = at;
  while (end < input.length && WORD.test(input[end]!)) end += 1;
  if (end === at) return undefined;
  const text = input.slice(at, end);
  return { kind: KEYWORDS.get(text.toLowerCase()) ?? "word", text, start: at, end };
}
