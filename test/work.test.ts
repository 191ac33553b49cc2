// Work of many requests in one event loop: one piece, then the loop's turn.
import { describe, expect, it, vi } from "vitest";
import { turn } from "../src/work.ts";

describe("pieces of work", () => {
  it("of many requests come one a turn of the event loop, each request's in its time", async () => {
    const order: number[] = [];
    let sinceTurn = 0;
    let most = 0;
    const looks = setInterval(() => {
      sinceTurn = 0;
    }, 0);
    const request = async (id: number): Promise<void> => {
      for (let piece = 0; piece < 3; piece++) {
        await turn();
        order.push(id);
        most = Math.max(most, ++sinceTurn);
      }
    };
    await Promise.all([0, 1, 2, 3, 4].map(request));
    clearInterval(looks);
    expect(order).toEqual([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    // Two where the other timer is late by a turn.
    expect(most).toBeLessThanOrEqual(2);
  });

  it("go on without a piece that was dropped with its request", async () => {
    const real = globalThis.setTimeout;
    // The dropped request's timers never come.
    const stub = vi.spyOn(globalThis, "setTimeout").mockImplementation((() => 0) as unknown as typeof setTimeout);
    void turn();
    stub.mockRestore();
    const started = Date.now();
    await turn();
    expect(Date.now() - started).toBeLessThan(2_000);
    await new Promise((resolve) => real(resolve, 0));
  });
});
