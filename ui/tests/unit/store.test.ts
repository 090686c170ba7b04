// What the page asks for while its reader is busy. In: fake time, and a fake server that counts.
import { afterAll, beforeAll, expect, it, vi } from "vitest";

let asked: string[] = [];
let silent = false;

beforeAll(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 });
  const deaf = { addEventListener() {}, removeEventListener() {} };
  vi.stubGlobal("document", { ...deaf, hidden: false, baseURI: "http://127.0.0.1/" });
  vi.stubGlobal("location", { hash: "" });
  vi.stubGlobal("history", { replaceState() {}, pushState() {} });
  vi.stubGlobal("fetch", async (address: string) => {
    asked.push(address);
    if (silent) return new Promise<never>(() => {});
    return new Response(
      JSON.stringify({ type: "workload", nodes: [], edges: [], notices: [], namespaces: [] }),
    );
  });
});
afterAll(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("stays live while the reader selects one thing after the other, and follows the interval", async () => {
  const store = await import("../../src/app/store");
  const { go } = await import("../../src/app/route");
  const graphs = () => asked.filter((a) => a.includes("/graph?")).length;
  const minute = async (query: string) => {
    asked = [];
    for (let i = 0; i < 30; i += 1) {
      go(`#/graph?${query}&selected=${i}`);
      await vi.advanceTimersByTimeAsync(2000);
    }
    return graphs();
  };
  go("#/graph?refresh=5");
  const end = store.startStore();
  await vi.advanceTimersByTimeAsync(0);
  expect(await minute("refresh=5")).toBe(12);
  // What is drawn of it is not computed anew for what is selected, but for what is hidden.
  const shown = store.currentView.value;
  go("#/graph?refresh=5&selected=x&tab=logs&table=true");
  expect(store.currentView.value).toBe(shown);
  go("#/graph?refresh=5&hide=healthy");
  expect(store.currentView.value).not.toBe(shown);
  expect(await minute("refresh=30")).toBe(2);
  expect(await minute("refresh=0")).toBe(0);
  // Whoever goes on after a pause has waited long enough.
  go("#/graph?refresh=10");
  await vi.advanceTimersByTimeAsync(1);
  expect(graphs()).toBe(1);
  end();
});

it("tells of the graph that is shown, and not of one that is still to come", async () => {
  const store = await import("../../src/app/store");
  const { go } = await import("../../src/app/route");
  go("#/graph?services=false&type=workload");
  const end = store.startStore();
  await vi.advanceTimersByTimeAsync(1);
  expect(store.shownGraph.value).toEqual({ type: "workload", services: false });
  silent = true;
  go("#/graph?type=app");
  await vi.advanceTimersByTimeAsync(1);
  expect(store.shownGraph.value).toEqual({ type: "workload", services: false });
  silent = false;
  go("#/graph?type=workload");
  await vi.advanceTimersByTimeAsync(1);
  expect(store.shownGraph.value).toEqual({ type: "workload", services: true });
  end();
});
