// Keeps one kind of data fresh. In: a key (what to ask for; undefined: nothing) and how often. Out: a signal with
// the latest answer. At most one request is in flight; failures back off; a hidden tab asks nothing.
import { type Signal, signal } from "@preact/signals";
import { backoff, comeback } from "./backoff";
import { ApiError } from "./client";

export interface FeedState<T> {
  data?: T;
  /** The key that `data` answers. */
  key?: string;
  /** When it came. */
  at: number;
  error?: ApiError;
  loading: boolean;
}

export interface FeedEnvironment {
  hidden(): boolean;
  /** Calls back when the tab is hidden or shown; out: ends that. */
  onVisibility(change: () => void): () => void;
  random(): number;
  now(): number;
  report(result: { error?: ApiError; retryAt?: number; feed: { refresh(): void } }): void;
  /** The feed asks for nothing any more: what it reported is over. */
  forget(feed: { refresh(): void }): void;
}

export interface FeedOptions<T> {
  load(key: string, signal: AbortSignal): Promise<T>;
  /** Milliseconds between an answer and the next question; 0: ask once. */
  interval(): number;
}

export class Feed<T> {
  readonly state: Signal<FeedState<T>> = signal({ at: 0, loading: false });
  private key: string | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private flight: AbortController | undefined;
  private failures = 0;
  /** When the last question was answered, or failed. */
  private settled = 0;
  private readonly unwatch: () => void;

  constructor(
    private readonly options: FeedOptions<T>,
    private readonly environment: FeedEnvironment,
  ) {
    this.unwatch = environment.onVisibility(() => this.visibility());
  }

  /** Another key is asked for at once, and the answer to the one before is dropped. */
  ask(key: string | undefined): void {
    if (key === this.key) return;
    this.key = key;
    this.failures = 0;
    if (key === undefined) this.environment.forget(this);
    this.refresh();
  }

  /** Asks now. */
  refresh(): void {
    this.stop();
    if (this.key !== undefined) void this.load(this.key);
  }

  /** The interval has changed: it counts from the last answer. A back-off stays as it is. */
  reschedule(): void {
    if (!this.flight && !this.state.peek().error?.away) this.schedule();
  }

  close(): void {
    this.stop();
    this.key = undefined;
    this.unwatch();
    this.environment.forget(this);
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.flight?.abort();
    this.flight = undefined;
  }

  private async load(key: string): Promise<void> {
    const flight = new AbortController();
    this.flight = flight;
    this.state.value = { ...this.state.peek(), loading: true };
    try {
      const data = await this.options.load(key, flight.signal);
      if (flight.signal.aborted) return;
      this.failures = 0;
      this.settled = this.environment.now();
      this.state.value = { data, key, at: this.settled, loading: false };
      this.environment.report({ feed: this });
    } catch (e) {
      if (flight.signal.aborted) return;
      this.failed(e instanceof ApiError ? e : new ApiError(0, String(e)));
    }
    this.flight = undefined;
    this.schedule();
  }

  private failed(error: ApiError): void {
    this.failures += 1;
    this.settled = this.environment.now();
    this.state.value = { ...this.state.peek(), error, loading: false };
  }

  private schedule(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const error = this.state.peek().error;
    const wait = this.wait(error);
    if (error && this.key !== undefined)
      this.environment.report({ error, retryAt: wait ? this.settled + wait : undefined, feed: this });
    if (wait === undefined || this.environment.hidden() || this.key === undefined) return;
    this.timer = setTimeout(() => this.refresh(), Math.max(0, this.settled + wait - this.environment.now()));
  }

  private wait(error: ApiError | undefined): number | undefined {
    if (error?.away) return backoff(this.failures, this.environment.random());
    // A missing right or object is asked for again with the next interval, a missing token not at all.
    if (error?.status === 401) return undefined;
    const interval = this.options.interval();
    return interval > 0 ? Math.max(interval, 1000) : undefined;
  }

  private visibility(): void {
    if (this.environment.hidden()) {
      clearTimeout(this.timer);
      this.timer = undefined;
      return;
    }
    if (this.key === undefined || this.flight || this.timer) return;
    const wait = this.wait(this.state.peek().error);
    if (wait === undefined) return;
    const due = this.settled + wait - this.environment.now();
    this.timer = setTimeout(() => this.refresh(), Math.max(due, comeback(this.environment.random())));
  }
}
