import { describe, expect, it } from "vitest";
import { dueAt, duesOf, mostUrgent, type Progress, turnOf } from "../../src/engine/turns.ts";

const asked = (allowed: Progress["allowed"], change: Partial<Progress> = {}): Progress => ({
  ...{ allowed, askedAt: 1000, firstAt: undefined, tokens: 0, maxTokens: 11 },
  ...change,
});
const begun = { firstAt: 1200, tokens: 3 };

describe("dueAt", () => {
  it.each<[string, Progress, number, number]>([
    ["nothing is asked for", asked(undefined), 1000, Number.POSITIVE_INFINITY],
    ["the whole is limited", asked({ latencyMs: 500 }), 1100, 1500],
    ["the first token is limited, too", asked({ latencyMs: 500, ttftMs: 200 }), 1100, 1200],
    ["the first token has come", asked({ latencyMs: 500, ttftMs: 200 }, begun), 1250, 1500],
    ["only the first token was limited", asked({ ttftMs: 200 }, begun), 1250, Number.POSITIVE_INFINITY],
    ["the time between tokens has not begun", asked({ tpotMs: 20 }), 1000, Number.POSITIVE_INFINITY],
    ["tokens have come", asked({ tpotMs: 20 }, begun), 1210, 1260],
    ["they are late, and may be made up for", asked({ tpotMs: 20 }, begun), 1300, 1260],
    ["they are too late for that", asked({ tpotMs: 20 }, begun), 1401, Number.POSITIVE_INFINITY],
    ["the deadline is over", asked({ latencyMs: 500 }), 1501, Number.POSITIVE_INFINITY],
    ["the first token's is over, the whole's is not", asked({ latencyMs: 500, ttftMs: 200 }), 1201, 1500],
    ["it is far off", asked({ latencyMs: 60_000 }), 1000, Number.POSITIVE_INFINITY],
    ["it was far off", asked({ latencyMs: 60_000 }), 58_000, 61_000],
  ])("when %s", (_, progress, now, due) => {
    expect(dueAt(progress, now)).toBe(due);
  });

  it("tells the two parts of an answer apart", () => {
    const never = Number.POSITIVE_INFINITY;
    expect(duesOf(asked({ ttftMs: 200 }), 1000)).toEqual({ first: 1200, rest: never });
    expect(duesOf(asked({ latencyMs: 500 }), 1000)).toEqual({ first: 1500, rest: 1500 });
    expect(duesOf(asked({ tpotMs: 20 }), 1000)).toEqual({ first: never, rest: 1020 });
    expect(duesOf(asked({ tpotMs: 20 }, begun), 1210)).toEqual({ first: never, rest: 1260 });
  });
});

describe("turnOf", () => {
  const waiting = (due: number, steppedAt = 0) => ({ due: () => due, steppedAt });
  const patient = [waiting(Number.POSITIVE_INFINITY, 10), waiting(Number.POSITIVE_INFINITY, 900)];
  const [later, sooner] = [waiting(3000), waiting(2000)];

  it("is that of all where none hurries", () => {
    expect(turnOf(patient, 500)).toEqual(patient);
    expect(mostUrgent(patient, 500)).toBeUndefined();
  });

  it("is that of the one that is due first", () => {
    expect(turnOf([...patient, later, sooner], 500)).toEqual([sooner]);
    expect(turnOf([later, waiting(3000)], 500)).toEqual([later]);
  });

  it("is that of the others once one of them has waited for long", () => {
    expect(turnOf([...patient, later, sooner], 1011)).toEqual(patient);
  });
});
