import { expect, it } from "vitest";
import { followChoices } from "../../src/serving/choices.ts";
import type { GenerationEvent } from "../../src/serving/index.ts";

async function* idle(count: number): AsyncGenerator<GenerationEvent, void, undefined> {
  for (let i = 0; i < count; i++) yield { type: "idle" };
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}

it("one choice is followed by itself: it is given the request's own signal", async () => {
  const { signal } = new AbortController();
  const signals: AbortSignal[] = [];
  const start = (_: number, own: AbortSignal) => {
    signals.push(own);
    return idle(2);
  };
  expect(await all(followChoices(1, start, signal))).toHaveLength(2);
  expect(signals).toEqual([signal]);
  expect(signals[0]).toBe(signal);
});

it("several choices end with the first that fails", async () => {
  const ended: number[] = [];
  async function* waiting(choice: number, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, undefined> {
    try {
      yield { type: "idle" };
      if (choice === 1) throw new Error("it broke");
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    } finally {
      ended.push(choice);
    }
  }
  await expect(all(followChoices(3, waiting, new AbortController().signal))).rejects.toThrow("it broke");
  expect(ended.sort()).toEqual([0, 1, 2]);
});
