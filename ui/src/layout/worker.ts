// Runs layouts off the page's thread. In: { id, algorithm, input }. Out: { id, output } or { id, error }.
import type { Algorithm, LayoutInput, LayoutOutput } from "./types";

export interface LayoutRequest {
  id: number;
  algorithm: Algorithm;
  input: LayoutInput;
}

export type LayoutReply = { id: number; output: LayoutOutput } | { id: number; error: string };

self.onmessage = async (event: MessageEvent<LayoutRequest>) => {
  const { id, algorithm, input } = event.data;
  try {
    self.postMessage({ id, output: await run(algorithm, input) } satisfies LayoutReply);
  } catch (e) {
    self.postMessage({ id, error: String(e) } satisfies LayoutReply);
  }
};

async function run(algorithm: Algorithm, input: LayoutInput): Promise<LayoutOutput> {
  if (algorithm === "dagre") return (await import("./dagre")).dagreLayout(input);
  if (algorithm === "force") return (await import("./force")).forceLayout(input);
  return (await import("./layered")).layeredLayout(input);
}
