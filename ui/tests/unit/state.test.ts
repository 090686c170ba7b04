import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { backoff, comeback } from "../../src/api/backoff";
import { ApiError, Client, query } from "../../src/api/client";
import { Feed, type FeedEnvironment } from "../../src/api/feed";
import { takeToken } from "../../src/api/token";
import { formatRoute, parseRoute } from "../../src/app/route";
import { measure, pointAt } from "../../src/graph/geometry";
import { interval, isError, marks, phase } from "../../src/graph/particles";
import { curve } from "../../src/layout/curve";
import { DEFAULTS, formatGraphState, misread, parseGraphState } from "../../src/model/graphState";
import { configPath, parseConfigPath } from "../../src/model/kinds";
import { errorShare, isIdle, sum, totals } from "../../src/model/traffic";
import { charts } from "../../src/panel/chartData";

describe("the charts", () => {
  it("show the connections that are open, also where none is opened", () => {
    const shown = charts({ "tcp.opened": [0, 0], "tcp.active": [4, 4] });
    expect(shown.map((c) => [c.title, c.lines.map((l) => l.values)])).toEqual([
      ["TCP connections per second", [[0, 0]]],
      ["TCP connections open", [[4, 4]]],
    ]);
  });
});

describe("the address", () => {
  it("holds only what differs from the default, and gives it back", () => {
    expect(formatGraphState(DEFAULTS).toString()).toBe("");
    const state = {
      ...DEFAULTS,
      type: "workload" as const,
      namespaces: ["a", "b"],
      duration: 300,
      refresh: 0,
      at: 5000,
      replay: true,
      find: "name = a & b",
      selected: "x>y#tcp",
      labels: [],
      boxApps: false,
      tab: "logs" as const,
    };
    expect(parseGraphState(new URLSearchParams(formatGraphState(state).toString()))).toEqual(state);
  });

  it("reads nonsense as the default", () => {
    expect(
      // The bar with the time, and the way back to now.
      parseGraphState(new URLSearchParams("at=5000&replay=false")),
    ).toMatchObject({ at: 5000, replay: true });
    expect(
      parseGraphState(new URLSearchParams("type=x&duration=-1&refresh=a&at=b&layout=z&tab=q&services=maybe")),
    ).toEqual(DEFAULTS);
    expect(parseGraphState(new URLSearchParams("duration=63")).duration).toBe(65);
    expect(parseGraphState(new URLSearchParams({ labels: "rate,toString,p95" })).labels).toEqual([
      "rate",
      "p95",
    ]);
  });

  it("says what it does not show of a link", () => {
    const said = (query: string) => misread(new URLSearchParams(query));
    expect(said(formatGraphState({ ...DEFAULTS, at: 5000, labels: [], find: "a" }).toString())).toEqual([]);
    expect(said("type=versionedApp&idle=false&selected=&labels=rate,share")).toEqual([]);
    expect(said("type=x&at=now&labels=rate,loss&idle=yes&toString=1")).toEqual([
      'the link\'s type "x" cannot be shown: "versionedApp" is',
      'the link\'s at "now" cannot be shown',
      'the link\'s labels "rate,loss" cannot be shown: "rate" is',
      'the link\'s idle "yes" cannot be shown: "false" is',
      'this page knows no "toString", which the link has',
    ]);
    expect(said(`find=${"x".repeat(3000)}`)[0]?.length).toBeLessThan(200);
  });

  it("leads to pages, and unknown ones to the graph", () => {
    const hash = formatRoute("workloads", ["default", "a/b c"], new URLSearchParams({ search: "x" }));
    const route = parseRoute(hash);
    expect([route.page, route.path, route.query.get("search")]).toEqual([
      "workloads",
      ["default", "a/b c"],
      "x",
    ]);
    for (const hash of ["#/nowhere/x", "#/help"]) expect(parseRoute(hash).page).toBe("graph");
    expect(parseRoute("#/workloads/%E0%A4%A").path).toEqual(["%E0%A4%A"]);
  });

  it("names objects with and without group and namespace", () => {
    for (const ref of [
      { kind: "Gateway", group: "networking.istio.io", namespace: "a", name: "b" },
      { kind: "Service", group: "", namespace: "a", name: "b" },
      { kind: "X", group: "g", namespace: "", name: "b" },
    ]) {
      const [k, ns, n] = configPath(ref).split("/").map(decodeURIComponent);
      expect(parseConfigPath(k!, ns!, n!)).toEqual(ref);
    }
  });
});

describe("the token", () => {
  it.each([
    ["http://h/?token=abc", "abc", "/"],
    ["http://h/?a=1&token=abc#/graph?find=x", "abc", "/?a=1#/graph?find=x"],
    ["http://h/#token=abc", "abc", "/"],
    ["http://h/#/graph?token=abc&find=x", "abc", "/#/graph?find=x"],
    ["http://h/#/graph?find=x&token=abc", "abc", "/#/graph?find=x"],
  ])("is taken out of %s", (href, token, clean) => {
    expect(takeToken(href)).toEqual({ token, clean });
  });

  it("leaves other addresses alone", () => {
    expect(takeToken("http://h/#/graph?find=token")).toEqual({});
  });
});

describe("waiting", () => {
  it("doubles up to half a minute", () => {
    expect([1, 2, 3, 4, 5, 6, 99].map((n) => backoff(n, 1))).toEqual([
      1000, 2000, 4000, 8000, 16_000, 30_000, 30_000,
    ]);
    expect(backoff(1, 0)).toBe(500);
    expect(comeback(0)).toBeLessThan(comeback(1));
  });
});

describe("a feed", () => {
  let hidden = false;
  let change = () => {};
  const reports: unknown[] = [];
  const forgotten: unknown[] = [];
  const environment: FeedEnvironment = {
    hidden: () => hidden,
    onVisibility: (c) => {
      change = c;
      return () => {
        change = () => {};
      };
    },
    random: () => 1,
    now: () => Date.now(),
    report: (r) => reports.push(r),
    forget: (f) => forgotten.push(f),
  };
  let calls: string[] = [];
  let answer: (key: string) => Promise<string>;
  let feed: Feed<string>;
  beforeEach(() => {
    vi.useFakeTimers();
    hidden = false;
    calls = [];
    answer = async (key) => `of ${key}`;
    feed = new Feed<string>(
      {
        load: (key) => {
          calls.push(key);
          return answer(key);
        },
        interval: () => 10_000,
      },
      environment,
    );
  });
  afterEach(() => {
    feed.close();
    vi.useRealTimers();
  });
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  it("asks at once and then at its interval", async () => {
    feed.ask("a");
    await pass(0);
    expect(feed.state.value).toMatchObject({ data: "of a", key: "a", loading: false });
    await pass(25_000);
    expect(calls).toHaveLength(3);
  });

  it("has one request in flight, and drops the answer to an older key", async () => {
    const waiting: ((v: string) => void)[] = [];
    answer = () => new Promise((resolve) => waiting.push(resolve));
    feed.ask("a");
    await pass(60_000);
    expect(calls).toEqual(["a"]);
    feed.ask("b");
    waiting[0]?.("late");
    await pass(0);
    expect(feed.state.value.data).toBeUndefined();
    waiting[1]?.("b");
    await pass(0);
    expect(feed.state.value).toMatchObject({ data: "b", key: "b" });
  });

  it("keeps what it has and backs off while the server is away", async () => {
    feed.ask("a");
    await pass(0);
    answer = async () => {
      throw new ApiError(0, "gone");
    };
    await pass(10_000);
    expect(feed.state.value).toMatchObject({ data: "of a", error: { status: 0 } });
    const before = calls.length;
    await pass(1000 + 2000 + 4000);
    expect(calls.length - before).toBe(3);
    answer = async () => "back";
    await pass(8000);
    expect(feed.state.value).toMatchObject({ data: "back" });
    expect(feed.state.value.error).toBeUndefined();
  });

  it("does not repeat a question whose token was refused", async () => {
    answer = async () => {
      throw new ApiError(401, "no");
    };
    feed.ask("a");
    await pass(120_000);
    expect(calls).toHaveLength(1);
  });

  it("asks nothing while hidden, and once when the tab comes back", async () => {
    feed.ask("a");
    await pass(0);
    hidden = true;
    change();
    await pass(3_600_000);
    expect(calls).toHaveLength(1);
    hidden = false;
    change();
    await pass(1000);
    expect(calls).toHaveLength(2);
  });

  it("counts from the last answer when the interval changes, or might have", async () => {
    feed.ask("a");
    for (let s = 0; s < 30; s += 1) {
      await pass(1000);
      feed.reschedule();
    }
    expect(calls).toHaveLength(4);
  });

  it("ends, and is in no trouble any more", async () => {
    feed.ask("a");
    await pass(0);
    forgotten.length = 0;
    feed.ask(undefined);
    expect(forgotten).toEqual([feed]);
    feed.ask("a");
    await pass(0);
    feed.close();
    expect(forgotten).toEqual([feed, feed]);
    await pass(60_000);
    expect(calls).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the client", () => {
  const reply = (status: number, body: string, headers = {}) =>
    vi.stubGlobal(
      "fetch",
      vi.fn(async () => new Response(status === 304 ? null : body, { status, headers })),
    );
  afterEach(() => vi.unstubAllGlobals());
  const client = new Client("http://h", () => "t");

  it("sends the token, and takes 304 as what it had", async () => {
    reply(200, '{"a":1}', { ETag: '"x"' });
    const first = await client.get("/g");
    reply(304, "");
    expect(await client.get("/g")).toBe(first);
    const [, init] = vi.mocked(fetch).mock.calls[0]!;
    expect(Object.fromEntries(new Headers(init?.headers))).toMatchObject({
      authorization: "Bearer t",
      "if-none-match": '"x"',
    });
  });

  it.each(["“t”", "\u0442\u043e", "a\u0001b"])("asks nothing with %j, which is no token", async (token) => {
    reply(200, "{}");
    const failed = new Client("http://h", () => token).get("/g");
    await expect(failed).rejects.toMatchObject({
      status: 401,
      message: expect.stringMatching("not a token"),
    });
    expect(fetch).not.toHaveBeenCalled();
  });

  it("says what went wrong", async () => {
    reply(403, '{"status":403,"message":"you need the right to list pods"}');
    await expect(client.get("/g")).rejects.toMatchObject({
      status: 403,
      message: "you need the right to list pods",
      away: false,
    });
    reply(502, "<html>");
    await expect(client.get("/g")).rejects.toMatchObject({ status: 502, away: true });
    reply(200, "<html>");
    await expect(client.get("/h")).rejects.toMatchObject({ status: 502 });
  });

  it("gives up a server that hangs, before and within its answer", async () => {
    vi.useFakeTimers();
    const hangs = (within: boolean) =>
      vi.stubGlobal("fetch", (_: string, { signal }: RequestInit) => {
        const never = new Promise<never>((_, reject) =>
          signal?.addEventListener("abort", () => reject(signal.reason)),
        );
        return within ? Promise.resolve({ ok: true, status: 200, json: () => never }) : never;
      });
    for (const within of [false, true]) {
      hangs(within);
      const answers = [client.get("/h"), client.post("/h?dryRun=true", {})].map((a) => a.catch((e) => e));
      let told: unknown;
      // A change that is told to have failed, and comes true, would meet itself when it is tried again.
      const change = client.post("/h?dryRun=false", {}).catch((e) => {
        told = e;
      });
      const silent = { away: true, message: "the server does not answer" };
      await vi.advanceTimersByTimeAsync(30_000);
      for (const e of await Promise.all(answers)) expect(e).toMatchObject(silent);
      expect(told).toBeUndefined();
      await vi.advanceTimersByTimeAsync(40_000);
      await change;
      expect(told).toMatchObject(silent);
    }
    const abort = new AbortController();
    const given = client.get("/h", abort.signal).catch((e) => e);
    abort.abort();
    expect(await given).not.toBeInstanceOf(ApiError);
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it("writes queries in a stable order without what is not there", () => {
    expect(query({ a: 1, b: undefined, c: [], d: ["x", "y"], e: false })).toBe("?a=1&d=x%2Cy&e=false");
  });
});

describe("moving marks", () => {
  it("are more where there is more traffic, and bounded", () => {
    expect(interval(0, 100)).toBe(Number.POSITIVE_INFINITY);
    expect(interval(0.01, 100)).toBeGreaterThan(interval(1, 100));
    expect(interval(1, 100)).toBeGreaterThan(interval(1000, 100));
    for (const rate of [0.001, 1, 1e9])
      expect(marks({ rate, errorShare: 0, length: 2000, phase: 0.3 }, 1000).length).toBeLessThanOrEqual(15);
    expect(marks({ rate: 0, errorShare: 0, length: 100, phase: 0 }, 50)).toEqual([]);
  });

  it("move forward, and follow from the time alone", () => {
    const flow = { rate: 2, errorShare: 0, length: 200, phase: 0.5 };
    const [a] = marks(flow, 100);
    expect(marks(flow, 100)[0]).toEqual(a);
    const moved = marks(flow, 100.05).map((m) => m.at);
    expect(moved.some((at) => Math.abs(at - (a!.at + (0.05 * 70) / 200)) < 1e-6)).toBe(true);
  });

  it("show errors in their share, and rare ones at all", () => {
    const share = (s: number) =>
      Array.from({ length: 1000 }, (_, n) => isError(n, s)).filter(Boolean).length / 1000;
    expect(share(0)).toBe(0);
    expect(share(0.5)).toBeCloseTo(0.5, 2);
    expect(share(1)).toBe(1);
    expect(share(0.0001)).toBeCloseTo(0.05, 2);
  });

  it("differ from edge to edge", () => {
    expect(phase("a")).not.toBe(phase("b"));
  });
});

describe("lines", () => {
  it("are measured along their curve", () => {
    const line = measure([
      { x: 0, y: 0 },
      { x: 10, y: 0 },
      { x: 10, y: 10 },
    ]);
    expect(line.length).toBe(20);
    expect(pointAt(line, 0.75)).toEqual({ x: 10, y: 5 });
    const bent = curve([
      { x: 0, y: 0 },
      { x: 50, y: 50 },
      { x: 100, y: 0 },
    ]);
    expect(bent.at(-1)).toEqual({ x: 100, y: 0 });
    expect(Math.max(...bent.map((p) => p.y))).toBe(25);
  });
});

describe("sums of traffic", () => {
  const tcp = { sent: 10, received: 20, opened: 4, closed: 4, failed: 1, active: 2, flags: { UF: 1 } };
  const http = {
    requests: 8,
    errorShare: 0.25,
    requestBytes: 100,
    responseBytes: 200,
    codes: { 200: 6, 503: 2 },
    flags: {},
  };

  it("add rates and weigh shares", () => {
    const both = sum([{ tcp, http }, { tcp }, { http: { ...http, errorShare: 0.75 } }]);
    expect(both.tcp).toMatchObject({ opened: 8, failed: 2, flags: { UF: 2 } });
    expect(both.http).toMatchObject({ requests: 16, errorShare: 0.5, codes: { 200: 12, 503: 4 } });
    expect(totals(both)).toMatchObject({ requests: 16, connections: 8, errors: 10, failedShare: 0.25 });
    expect(errorShare({ tcp })).toBe(0.25);
    expect(errorShare({ tcp: { ...tcp, opened: 10 } })).toBe(0.1);
    expect([isIdle({}), isIdle({ tcp })]).toEqual([true, false]);
    const quiet = { ...tcp, sent: 0, received: 0, opened: 0, active: 0 };
    expect([isIdle({ tcp: quiet }), isIdle({ tcp: { ...quiet, failed: 0 } })]).toEqual([false, false]);
    expect(isIdle({ tcp: { ...quiet, failed: 0, closed: 0 } })).toBe(true);
  });
});
