import { describe, expect, it } from "vitest";
import { dueAt, mostUrgent, nextAdmitted, type Progress, steppingOf, turnOf } from "../../src/engine/turns.ts";

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

describe("nextAdmitted", () => {
  const waiting = (due: number) => ({ due: () => due, steppedAt: 0 });
  const [patient, urgent] = [waiting(Number.POSITIVE_INFINITY), waiting(2000)];

  it("is the most urgent, or else the head of the queue", () => {
    expect(nextAdmitted([patient, urgent], 0, 500, 4)).toBe(urgent);
    expect(nextAdmitted([patient, waiting(Number.POSITIVE_INFINITY)], 0, 500, 4)).toBe(patient);
    expect(nextAdmitted([], 0, 500, 4)).toBeUndefined();
  });

  it("is none where there is no place for it: what hurries has twice as many", () => {
    expect(nextAdmitted([patient], 4, 500, 4)).toBeUndefined();
    expect(nextAdmitted([patient, urgent], 4, 500, 4)).toBe(urgent);
    expect(nextAdmitted([urgent], 8, 500, 4)).toBeUndefined();
  });
});

describe("steppingOf", () => {
  it("is each that decodes and one prompt", () => {
    const patient = (decoding: boolean) => ({ due: () => Number.POSITIVE_INFINITY, steppedAt: 0, decoding });
    const [first, second, third, fourth] = [patient(true), patient(false), patient(false), patient(true)];
    expect(steppingOf([first, second, third, fourth], 500)).toEqual([first, second, fourth]);
  });
});
