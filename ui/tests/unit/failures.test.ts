import { describe, expect, it } from "vitest";
import type { Failure } from "../../src/api/types";
import { keyed, withOpen } from "../../src/model/failures";

const failure = (time: number, flags: string): Failure => ({
  time,
  source: "workload/a/a",
  target: "workload/a/b",
  protocol: "tcp",
  proxy: "sidecar~10.0.0.1~a.a~a",
  destination: "10.0.0.2:80",
  flags,
  bytesReceived: 0,
  bytesSent: 0,
  durationMs: 1,
  summary: "",
  steps: [],
});

describe("failures", () => {
  it("have the keys that they had when newer ones come, alike or not", () => {
    const before = [failure(2, "UF"), failure(2, "UF"), failure(1, "UH")];
    const after = [failure(3, "UF"), failure(2, "UF"), ...before];
    const keys = (all: Failure[]) => keyed(all).map(([key]) => key);
    expect(keys(after).slice(2)).toEqual(keys(before));
    expect(new Set(keys(after)).size).toBe(after.length);
    expect(keyed(after).map(([, f]) => f)).toEqual(after);
  });

  it("stay while they are open, behind the newest", () => {
    const [newer, older] = [keyed([failure(3, "UF")]), keyed([failure(2, "UF"), failure(1, "UH")])];
    expect(withOpen(newer, new Map(older))).toEqual([...newer, ...older]);
    expect(withOpen(older, new Map(older))).toEqual(older);
  });
});
