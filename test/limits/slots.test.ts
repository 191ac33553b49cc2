import { describe, expect, it } from "vitest";
import { createSlots } from "../../src/limits/slots.ts";

describe("the line of a key's background responses", () => {
  it("lets a few run at a time, in the order in which they came", () => {
    const line = createSlots({ most: 2, mostWaiting: 9, leaseMs: 100, now: () => 0 });
    expect(["a", "b", "c", "d"].map(line.enter)).toEqual([true, true, false, false]);
    expect(line.enter("d")).toBe(false);
    expect(line.enter("a")).toBe(true);
    expect(line.leave("b")).toEqual(["c"]);
    expect([line.enter("d"), line.enter("c"), line.enter("d")]).toEqual([false, true, false]);
    expect(line.leave("a")).toEqual(["d"]);
    expect(line.leave("c")).toEqual(["d"]);
  });

  it("takes no more than there is room for, until one of them runs", () => {
    const line = createSlots({ most: 1, mostWaiting: 2, leaseMs: 100, now: () => 0 });
    expect(["a", "b", "c"].map(line.join)).toEqual([true, true, false]);
    expect([line.enter("b"), line.enter("a")]).toEqual([false, true]);
    expect(line.join("c")).toBe(true);
    expect(line.leave("a")).toEqual(["b"]);
  });

  it("forgets what was lost with its machine, running or waiting", () => {
    let now = 0;
    const line = createSlots({ most: 1, mostWaiting: 9, leaseMs: 100, now: () => now });
    expect(["lost", "also lost", "c"].map(line.enter)).toEqual([true, false, false]);
    now = 90;
    expect(line.enter("c")).toBe(false);
    now = 120;
    expect(line.enter("c")).toBe(true);
  });
});
