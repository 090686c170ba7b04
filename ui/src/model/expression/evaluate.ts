// Whether a node or an edge matches an expression. A question that makes no sense for an element, such as the
// latency of a node, is neither true nor false, so that `not` of it does not match either.
import { ExpressionError } from "./lexer";
import { type Expression, type Operator, parse } from "./parser";
import type { Element, Value } from "./subjects";

export function matches(expression: Expression, element: Element): boolean {
  return evaluate(expression, element) === true;
}

function evaluate(e: Expression, element: Element): boolean | undefined {
  switch (e.kind) {
    case "and": {
      const left = evaluate(e.left, element);
      if (left === false) return false;
      const right = evaluate(e.right, element);
      return right === false ? false : left && right;
    }
    case "or": {
      const left = evaluate(e.left, element);
      if (left === true) return true;
      const right = evaluate(e.right, element);
      return right === true ? true : (left ?? right) === undefined ? undefined : false;
    }
    case "not": {
      const inner = evaluate(e.inner, element);
      return inner === undefined ? undefined : !inner;
    }
    case "is": {
      const value = e.subject.get(element);
      return value === undefined ? undefined : Boolean(value);
    }
    case "compare":
      return compare(e.subject.get(element), e.operator, e.value);
  }
}

function compare(actual: Value, operator: Operator, wanted: string | number): boolean | undefined {
  if (actual === undefined) return undefined;
  if (typeof actual === "number") return ordered(actual, operator, wanted as number);
  const values = (Array.isArray(actual) ? actual : [String(actual)]).map((v) => v.toLowerCase());
  const text = String(wanted);
  switch (operator) {
    case "contains":
      return values.some((v) => v.includes(text));
    case "startswith":
      return values.some((v) => v.startsWith(text));
    case "endswith":
      return values.some((v) => v.endsWith(text));
    case "!=":
      return !values.includes(text);
    default:
      return values.includes(text);
  }
}

function ordered(a: number, operator: Operator, b: number): boolean {
  switch (operator) {
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
    case "!=":
      return a !== b;
    default:
      return a === b;
  }
}

export interface Checked {
  expression?: Expression;
  error?: ExpressionError;
}

/** Parses without throwing. */
export function check(text: string): Checked {
  try {
    return { expression: parse(text) };
  } catch (e) {
    if (e instanceof ExpressionError) return { error: e };
    throw e;
  }
}
