// A page that stays open for a day, in minutes of processor time: every feed of it asks as often as it does, the
// server's answers differ each time, servers go away and come back, and replay runs. In: fake time and a fake server.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Failure, Graph, LogLine } from "../../src/api/types";

const HOUR = 3_600_000;
const START = 1_800_000_000_000;
/** What the page may hold more after a day than after its first hour. */
const MOST = 6 << 20;

let asked = 0;
let down = false;

function filler(length: number): string {
  return `${asked}`.padStart(length, "x");
}

function answer(path: string): unknown {
  if (path.startsWith("/graph")) {
    const nodes = Array.from({ length: 60 }, (_, n) => ({ id: `workload/a/${filler(40)}${n}`, badges: [] }));
    return { type: "workload", nodes, edges: [], notices: [], at: START } as unknown as Graph;
  }
  if (path.startsWith("/logs"))
    return {
      lines: Array.from({ length: 200 }, (): LogLine => ({ time: asked, from: "p", text: filler(300) })),
    };
  if (path.startsWith("/failures"))
    return {
      failures: Array.from(
        { length: 50 },
        () => ({ time: asked, summary: filler(300), steps: [] }) as unknown as Failure,
      ),
    };
  if (path.startsWith("/series"))
    return { inbound: { "tcp.sent": new Array(720).fill(asked) }, outbound: {} };
  if (path.startsWith("/status"))
    return { now: Date.now(), oldest: Date.now() - HOUR, step: 5000, notices: [filler(9)] };
  return { namespaces: [] };
}

async function server(address: string): Promise<Response> {
  asked += 1;
  if (down) throw new TypeError("fetch failed");
  const path = address.slice(address.indexOf("/api/v1") + 7);
  return new Response(JSON.stringify(answer(path)), { headers: { ETag: `"${asked}"` } });
}

/** Bytes in use, with nothing left to collect. */
async function held(): Promise<number> {
  setFlagsFromString("--expose_gc");
  const collect = runInNewContext("gc") as () => void;
  // Whoever waits for a promise lets go of its answer.
  await vi.advanceTimersByTimeAsync(1);
  collect();
  return process.memoryUsage().heapUsed;
}

describe("a page that is open for a day", () => {
  beforeAll(() => {
    vi.useFakeTimers({ now: START });
    const silent = { addEventListener() {}, removeEventListener() {} };
    vi.stubGlobal("document", { ...silent, hidden: false, baseURI: "http://127.0.0.1/" });
    vi.stubGlobal("location", { hash: "#/graph?refresh=5" });
    vi.stubGlobal("history", { replaceState() {}, pushState() {} });
    vi.stubGlobal("fetch", server);
  });
  afterAll(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("holds what it held after an hour", { timeout: 120_000 }, async () => {
    const store = await import("../../src/app/store");
    const live = await import("../../src/app/live");
    const { go } = await import("../../src/app/route");
    const { api } = await import("../../src/app/session");
    const end = store.startStore();
    go("#/graph?refresh=5");
    // What the side panel's tabs keep fresh.
    const tabs = ["/logs?id=a", "/failures?id=a", "/series?id=a"].map((path) => {
      const tab = live.feed<unknown>({ load: (key, abort) => api.get(key, abort), interval: () => 5000 });
      tab.ask(path);
      return tab;
    });

    /** An hour in which a few minutes are replayed, the selection changes, and the server is away once. */
    const hour = async (n: number) => {
      await vi.advanceTimersByTimeAsync(HOUR / 2);
      for (let step = 0; step < 60; step += 1) {
        store.playing.value = START + n * HOUR + step * 5000;
        await vi.advanceTimersByTimeAsync(1000);
      }
      store.playing.value = undefined;
      tabs[0]!.ask(`/logs?id=${n}`);
      down = true;
      await vi.advanceTimersByTimeAsync(HOUR / 12);
      expect(live.away.value).toBeDefined();
      down = false;
      await vi.advanceTimersByTimeAsync(HOUR / 2 - HOUR / 12 - 60_000);
      expect(live.away.value).toBeUndefined();
      expect(vi.getTimerCount()).toBeLessThanOrEqual(3 + tabs.length);
    };

    await hour(0);
    const [before, questions] = [await held(), asked];
    for (let n = 1; n < 24; n += 1) await hour(n);
    expect(asked).toBeGreaterThan(20 * questions);
    expect((await held()) - before).toBeLessThan(MOST);

    for (const tab of tabs) tab.close();
    end();
    await vi.advanceTimersByTimeAsync(1000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
