// Requests to the server. In: a path below /api/v1 and a token. Out: the answer, or an ApiError that says what
// went wrong in a sentence for people.
import { Lru } from "../model/lru";
import type { Issue, Problem } from "./types";

export class ApiError extends Error {
  constructor(
    /** 0: there was no answer. */
    readonly status: number,
    message: string,
    readonly issues: Issue[] = [],
  ) {
    super(message);
  }

  /** Whether the server, and not the question, is the trouble. */
  get away(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Milliseconds that an answer may take, to its last byte. */
const PATIENCE = 20_000;
/** The same where something is changed: it may be done after the reader was told that it was not. */
const PATIENCE_OF_CHANGE = 60_000;
const SILENT = "the server does not answer";
/** What a header can carry. */
const HEADER = /^[\x20-\x7e]+$/;
const NO_TOKEN = "this is not a token: it has characters that no token has, such as “curly quotes”";

export class Client {
  private readonly seen = new Lru<{ etag: string; data: unknown }>(12);

  constructor(
    private readonly base: string,
    private readonly token: () => string | undefined,
  ) {}

  /** An answer that has not changed is the same object as before. */
  get<T>(path: string, signal?: AbortSignal): Promise<T> {
    const known = this.seen.get(path);
    const headers: HeadersInit = known ? { "If-None-Match": known.etag } : {};
    return inTime(PATIENCE, signal, async (signal) => {
      const response = await this.send(path, { signal, headers });
      if (response.status === 304 && known) return known.data as T;
      if (!response.ok) throw await problem(response);
      const data = await body<T>(response);
      const etag = response.headers.get("ETag");
      if (etag) this.seen.set(path, { etag, data });
      return data;
    });
  }

  post<T>(path: string, content: unknown, signal?: AbortSignal): Promise<T> {
    const headers = { "Content-Type": "application/json" };
    const isTrial = path.includes("?dryRun=true");
    return inTime(isTrial ? PATIENCE : PATIENCE_OF_CHANGE, signal, async (signal) => {
      const response = await this.send(path, {
        method: "POST",
        headers,
        body: JSON.stringify(content),
        signal,
      });
      if (!response.ok) throw await problem(response);
      return body<T>(response);
    });
  }

  private async send(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("Accept", "application/json");
    const token = this.token();
    if (token && !HEADER.test(token)) throw new ApiError(401, NO_TOKEN);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    const response = await fetch(this.base + path, {
      ...init,
      headers,
      cache: "no-store",
      credentials: "omit",
    }).catch((e) => {
      if (init.signal?.aborted) throw e;
      throw new ApiError(0, SILENT);
    });
    // Another token came while the one that was sent was being refused.
    return response.status === 401 && this.token() !== token ? this.send(path, init) : response;
  }
}

/** Does what can be aborted, and gives it up when it has taken too long: a server that hangs leaves connections open. */
async function inTime<T>(
  patience: number,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), patience);
  try {
    return await work(outer ? AbortSignal.any([outer, late.signal]) : late.signal);
  } catch (e) {
    if (outer?.aborted) throw outer.reason;
    throw late.signal.aborted ? new ApiError(0, SILENT) : e;
  } finally {
    clearTimeout(timer);
  }
}

async function body<T>(response: Response): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(502, "the answer is not JSON: is something between this page and Lateen?");
  }
}

async function problem(response: Response): Promise<ApiError> {
  const fallback = FALLBACK[response.status] ?? `the server answered ${response.status}`;
  try {
    const { message, issues } = (await response.json()) as Partial<Problem>;
    return new ApiError(response.status, message || fallback, issues ?? []);
  } catch {
    return new ApiError(response.status, fallback);
  }
}

const FALLBACK: Record<number, string> = {
  401: "sign in to see this",
  403: "your account lacks a right that this needs",
  404: "there is no such thing",
  409: "the object has changed since it was read",
  422: "this is not a valid object",
};

/** A query string of what is defined, in a stable order. */
export function query(parameters: Record<string, string | number | boolean | string[] | undefined>): string {
  const out = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value === undefined || value === "" || (Array.isArray(value) && value.length === 0)) continue;
    out.set(key, Array.isArray(value) ? value.join(",") : String(value));
  }
  const text = out.toString();
  return text ? `?${text}` : "";
}
