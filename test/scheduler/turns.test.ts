import { describe, expect, it } from "vitest";
import { admissible, dueAt, mostUrgent, type Progress, steppingOf } from "../../src/scheduler/turns.ts";

const asked = (allowed: Progress["allowed"], change: Partial<Progress> = {}): Progress => ({
  allowed,
  askedAt: 1000,
  firstAt: undefined,
  tokens: 0,
  maxTokens: 11,
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

describe("steppingOf", () => {
  const NEVER = Number.POSITIVE_INFINITY;
  const waiting = (due: number, steppedAt = 0, key = "a", decoding = true) => ({
    due: () => due,
    steppedAt,
    key,
    decoding,
  });
  const patient = [waiting(NEVER, 10), waiting(NEVER, 900)];
  const [later, sooner] = [waiting(3000), waiting(2000)];
  const turn = (all: ReturnType<typeof waiting>[], now: number, served: [string, number][] = [], rows = 4) =>
    steppingOf(all, new Map(served), now, rows);

  it("is that of all where none hurries", () => {
    expect(turn(patient, 500)).toEqual(patient);
    expect(mostUrgent(patient, 500)).toBeUndefined();
  });

  it("is that of the one that is due first", () => {
    expect(turn([...patient, later, sooner], 500)).toEqual([sooner]);
    expect(turn([later, waiting(3000)], 500)).toEqual([later]);
  });

  it("is that of the others once one of them has waited for long", () => {
    expect(turn([...patient, later, sooner], 1011)).toEqual(patient);
  });

  it("has one prompt, and those that waited longest of more than there are rows", () => {
    const prompts = [waiting(NEVER, 0, "a", false), waiting(NEVER, 0, "a", false)];
    const decoding = [5, 3, 4, 1].map((at) => waiting(NEVER, at));
    expect(turn([...prompts, ...decoding], 500, [], 2)).toEqual([prompts[0], decoding[1], decoding[3]]);
  });

  it("has a newcomer's prompt before another chunk of a key that was there, where both were given as much", () => {
    const [chunked, next] = [waiting(NEVER, 700, "a", false), waiting(NEVER, 100, "a", false)];
    const newcomer = waiting(NEVER, 600, "b", false);
    expect(turn([chunked, next, newcomer], 700)).toEqual([newcomer]);
    expect(turn([next, waiting(NEVER, 700, "a"), newcomer], 700)).toContain(newcomer);
    expect(turn([chunked, next, newcomer], 700, [["b", 1]])).toEqual([chunked]);
    expect(turn([waiting(NEVER, 500, "a", false), newcomer], 700)).not.toContain(newcomer);
  });

  it("is not that of a key that is more than a quantum ahead, nor of its prompts when it is ahead at all", () => {
    const [ahead, prompt, behind] = [waiting(NEVER), waiting(NEVER, 0, "a", false), waiting(NEVER, 0, "b")];
    const all = [ahead, prompt, behind];
    expect(
      turn(all, 500, [
        ["a", 100],
        ["b", 100],
      ]),
    ).toEqual([ahead, prompt, behind]);
    expect(
      turn(all, 500, [
        ["a", 101],
        ["b", 100],
      ]),
    ).toEqual([ahead, behind]);
    expect(
      turn(all, 500, [
        ["a", 165],
        ["b", 100],
      ]),
    ).toEqual([behind]);
  });

  it("is that of one that hurries only until its key has taken its loan", () => {
    const [hurried, other] = [waiting(1500), waiting(NEVER, 400, "b")];
    expect(turn([hurried, other], 500, [["a", 128]])).toEqual([hurried]);
    expect(turn([hurried, other], 500, [["a", 129]])).toEqual([other]);
  });
});

describe("admissible", () => {
  const waiting = (due: number, key = "a") => ({ due: () => due, key, passedAt: undefined });
  const [patient, urgent] = [waiting(Number.POSITIVE_INFINITY), waiting(2000)];
  const tried = (queue: ReturnType<typeof waiting>[], holders: string[], served: [string, number][] = []) =>
    admissible(
      queue,
      holders.map((key) => ({ key })),
      new Map(served),
      500,
      4,
    );

  it("has the most urgent of a key first, then those at its head", () => {
    const last = waiting(Number.POSITIVE_INFINITY);
    expect(tried([patient, urgent, last], [])).toEqual([urgent, patient, last]);
    expect(tried([], [])).toEqual([]);
  });

  it("has the key first that was given least, whatever hurries", () => {
    const other = waiting(Number.POSITIVE_INFINITY, "b");
    expect(tried([urgent, other], [], [["a", 10]])).toEqual([other, urgent]);
  });

  it("leaves out what has no place: a key has some, of all keys four may have them all, what hurries has twice as many", () => {
    const other = waiting(Number.POSITIVE_INFINITY, "b");
    expect(tried([patient, urgent, other], ["a", "a", "a", "a"])).toEqual([urgent, other]);
    expect(tried([urgent], new Array(8).fill("a"))).toEqual([]);
    expect(tried([patient, urgent], new Array(16).fill("c"))).toEqual([urgent]);
    expect(tried([urgent], new Array(32).fill("c"))).toEqual([]);
  });

  it("asks each once when it is due, however many there are", () => {
    let asked = 0;
    const queue = Array.from({ length: 200 }, () => ({ ...patient, due: () => ++asked }));
    expect(tried(queue, [])).toHaveLength(200);
    expect(asked).toBe(200);
  });
});
