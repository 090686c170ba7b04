// Finds the line of a field in YAML in block style, as Kubernetes writes it. In: the text and a path such as
// `spec.tcp[0].route[1].destination.host`. Out: the line (from 1) of the deepest part of the path that is there.

type Step = string | number;

export function parsePath(path: string): Step[] {
  const steps: Step[] = [];
  for (const match of path.matchAll(/\["([^"]*)"\]|\[(\d+)\]|([^.[\]]+)/g)) {
    if (match[2] !== undefined) steps.push(Number(match[2]));
    else steps.push(match[1] ?? match[3]!);
  }
  return steps;
}

interface Line {
  /** From 1. */
  number: number;
  /** Columns before the key; of an item, of what follows its dash. */
  indent: number;
  /** The column of the dash, if the line begins an item. */
  dash?: number;
  key?: string;
}

/** Splits `- - a: 1` into one entry per dash, and skips comments, blank lines and block scalars. */
function scan(text: string): Line[] {
  const lines: Line[] = [];
  let scalar: number | undefined;
  text.split("\n").forEach((raw, index) => {
    const body = raw.trimStart();
    let indent = raw.length - body.length;
    if (body === "" || body.startsWith("#") || body.startsWith("---")) return;
    if (scalar !== undefined && indent > scalar) return;
    scalar = undefined;
    let rest = body;
    let dash: number | undefined;
    while (rest === "-" || rest.startsWith("- ")) {
      if (dash !== undefined) lines.push({ number: index + 1, indent, dash });
      dash = indent;
      const after = rest.slice(1).trimStart();
      indent += rest.length - after.length;
      rest = after;
    }
    const key = /^(?:"([^"]*)"|'([^']*)'|([^\s:#][^:#]*?))\s*:(?:\s|$)/.exec(rest);
    lines.push({ number: index + 1, indent, dash, key: key ? (key[1] ?? key[2] ?? key[3]) : undefined });
    if (/:\s*[|>][+-]?\d?\s*$/.test(rest)) scalar = indent;
  });
  return lines;
}

/** Of what is no YAML there is no path: the message tells where it is. */
export function lineOfIssue(text: string, { path, message }: { path: string; message: string }): number {
  const told = path ? undefined : /\bline (\d+), column \d/.exec(message)?.[1];
  return told ? Number(told) : lineOfPath(text, path);
}

export function lineOfPath(text: string, path: string): number {
  const lines = scan(text);
  let from = 0;
  let to = lines.length;
  let found = 1;
  for (const step of parsePath(path)) {
    const next = typeof step === "number" ? item(lines, from, to, step) : child(lines, from, to, step);
    if (!next) return found;
    found = lines[next.at]!.number;
    ({ from, to } = next);
  }
  return found;
}

interface Range {
  at: number;
  from: number;
  to: number;
}

function child(lines: Line[], from: number, to: number, key: string): Range | undefined {
  const indent = lines[from]?.indent;
  for (let i = from; i < to; i += 1) {
    const line = lines[i]!;
    if (line.indent !== indent || line.key !== key) continue;
    let end = i + 1;
    while (end < to && below(lines[end]!, line)) end += 1;
    return { at: i, from: i + 1, to: end };
  }
  return undefined;
}

/** A list may stand at its key's own column. */
function below(line: Line, parent: Line): boolean {
  return line.indent > parent.indent && (line.dash ?? line.indent) >= parent.indent;
}

function item(lines: Line[], from: number, to: number, index: number): Range | undefined {
  const dash = lines[from]?.dash;
  if (dash === undefined) return undefined;
  let seen = -1;
  for (let i = from; i < to; i += 1) {
    if (lines[i]!.dash !== dash) continue;
    seen += 1;
    if (seen !== index) continue;
    let end = i + 1;
    while (end < to && lines[end]!.dash !== dash) end += 1;
    return { at: i, from: i, to: end };
  }
  return undefined;
}
