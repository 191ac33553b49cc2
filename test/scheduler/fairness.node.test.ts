// What keys get of each other's time, whatever they ask for; fairness.node.full.test.ts has more loads.
import { describe, expect, it } from "vitest";
import { type Ask, checkRandomLoads, run, unitsOf } from "./fairness.ts";

describe("a scheduler under random loads", () => {
  it("starves nobody, is never idle beside work, and keeps keys within a bounded distance", async () => {
    await checkRandomLoads(500);
  });
});

describe("two keys that have enough to do", () => {
  const many = (key: string, count: number, ask: Partial<Ask>): Ask[] =>
    Array.from({ length: count }, () => ({ key, prompt: 20, tokens: 20, at: 0, ...ask }));

  it.each([
    ["long prompts beside long answers", { prompt: 400, tokens: 2 }, { prompt: 5, tokens: 150 }],
    ["many beside one at a time", { prompt: 10, tokens: 50 }, { prompt: 200, tokens: 200 }],
    ["with deadlines beside without", { latencyMs: 4_900 }, {}],
  ])("get shares within 10 %%: %s", async (_, one, other) => {
    const half = 2_000;
    const take = (ask: Partial<Ask>, key: string): Ask[] => {
      const [first] = many(key, 1, ask) as [Ask];
      return many(key, Math.ceil((3 * half) / unitsOf(first)), ask);
    };
    const shares = new Map<string, number>();
    const probe = (served: ReadonlyMap<string, number>, now: number): void => {
      if (shares.size === 0 && now >= 2 * half) for (const [key, units] of served) shares.set(key, units);
    };
    await run([...take(one, "a"), ...take(other, "b")], probe);
    const [a, b] = [shares.get("a") ?? 0, shares.get("b") ?? 0];
    expect(a / (a + b)).toBeGreaterThan(0.45);
    expect(a / (a + b)).toBeLessThan(0.55);
  });

  it("leave background work a small part, and it ends", async () => {
    const { ended } = await run([...many("a", 20, { background: true }), ...many("b", 20, { tokens: 40 })]);
    const last = (background: boolean): number =>
      Math.max(...ended.filter(({ ask }) => Boolean(ask.background) === background).map(({ ms }) => ms));
    const work = 20 * unitsOf({ key: "b", prompt: 20, tokens: 40, at: 0 });
    expect(last(false)).toBeLessThan(1.25 * work);
    expect(last(true)).toBeGreaterThan(last(false));
  });
});
