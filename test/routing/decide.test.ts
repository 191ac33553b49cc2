import { describe, expect, test } from "vitest";
import { PATIENT } from "../../src/engine/turns.ts";
import { type Budget, NO_BUDGET } from "../../src/routing/budget.ts";
import type { Costs } from "../../src/routing/costs.ts";
import { type Decision, decide } from "../../src/routing/decide.ts";
import { profileOf } from "../../src/routing/latency.ts";
import { loadOf } from "../../src/routing/load.ts";
import { createQualityBook, type Recorded } from "../../src/routing/quality.ts";
import { type Candidate, POLICY, type Question } from "../../src/routing/question.ts";

/** A variant that takes this many milliseconds per token of the reply, and a tenth of it per token of the prompt. */
const candidate = (variant: string, stepMs: number, more: Partial<Candidate> = {}): Candidate => ({
  variant,
  costs: { prefillMs: stepMs / 10, decodeMs: stepMs, contextMs: 0 } satisfies Costs,
  status: "stable",
  capacity: 1000,
  quarantined: false,
  ...more,
});

/** 1,000 items: right where `right` says so. */
const items = (variant: string, right: (item: number) => boolean): Recorded => ({
  variant,
  hellaswag: new Map(Array.from({ length: 1000 }, (_, item) => [item, right(item)])),
});

/** The base has 40 %, the middle one 38 % beyond doubt, the small one 30 %. */
const SCORES = [items("base", (i) => i < 400), items("middle", (i) => i < 380), items("small", (i) => i < 300)];
const CANDIDATES = [candidate("base", 20), candidate("middle", 10), candidate("small", 5)];
const QUALITIES = createQualityBook(SCORES, "base");
const IDLE = loadOf([]);
const PROFILE = profileOf({}, 0.95, 0);

function ask({ budget, ...question }: Partial<Omit<Question, "budget">> & { budget?: Partial<Budget> } = {}): Decision {
  const decision = decide({
    requestId: "request",
    work: { promptTokens: 50, tokens: { p50: 10, p90: 10, p99: 10, high: 10 } },
    needed: 60,
    elapsedMs: 0,
    candidates: CANDIDATES,
    load: IDLE,
    profile: PROFILE,
    crowding: () => 0,
    qualities: QUALITIES,
    policy: { ...POLICY, explore: 0 },
    ...question,
    budget: { ...NO_BUDGET, ...budget },
  });
  if (!decision) throw new Error("no decision");
  return decision;
}

const lost = ({ verdicts }: Decision) => Object.fromEntries(verdicts.map((verdict) => [verdict.variant, verdict.lost]));
const high = (variant: string): number => {
  const { prediction } = ask().verdicts.find((verdict) => verdict.variant === variant)!;
  return prediction!.latency.high;
};

describe("the best variant within the budget", () => {
  test("without a budget is the one with the best scores", () => {
    const decision = ask();
    expect([decision.variant, decision.rule]).toEqual(["base", "best"]);
    expect(lost(decision)).toEqual({ base: undefined, middle: "lower_quality", small: "lower_quality" });
  });

  test.each([
    ["latencyMs", "latency_ms"],
    ["ttftMs", "ttft_ms"],
    ["tpotMs", "tpot_ms"],
  ] as const)("keeps %s at the high quantile, not the median", (field, limit) => {
    const prediction = ask().verdicts[0]?.prediction;
    const metric = limit.replace("_ms", "") as "latency" | "ttft" | "tpot";
    const span = prediction![metric];
    expect(span.high).toBeGreaterThan(1.2 * span.p50);
    const decision = ask({ budget: { [field]: (span.high + span.p50) / 2 } });
    expect(decision.variant).toBe("middle");
    expect(lost(decision).base).toBe(limit);
    expect(ask({ budget: { [field]: span.high * 1.001 } }).variant).toBe("base");
  });

  test("counts the time that has gone by", () => {
    const budget = { latencyMs: high("base") * 1.05 };
    expect(ask({ budget }).variant).toBe("base");
    expect(ask({ budget, elapsedMs: high("base") * 0.1 }).variant).toBe("middle");
  });

  test("counts what the replica has to do for others", () => {
    const { costs } = CANDIDATES[0]!;
    const load = loadOf(
      Array.from({ length: 3 }, () => ({
        ...{ costs, promptTokens: 50, expectedTokens: 50, tokens: 5, sinceMs: 0, dues: PATIENT },
      })),
    );
    const budget = { latencyMs: high("base") * 1.5 };
    expect(ask({ budget }).variant).toBe("base");
    expect(ask({ budget, load }).variant).not.toBe("base");
  });

  test("keeps to the recorded scores that are asked for", () => {
    expect(ask({ budget: { minHellaswag: 35, prefer: "speed" } }).variant).toBe("middle");
    expect(lost(ask({ budget: { minHellaswag: 35, prefer: "speed" } })).small).toBe("min_hellaswag");
    const pages = (variant: string, perWord: number): Recorded => ({
      variant,
      pages: new Map(
        Array.from({ length: 20 }, (_, i) => [i, { logLikelihood: -perWord * (100 + i), words: 100 + i }]),
      ),
    });
    const qualities = createQualityBook([pages("base", 3.5), pages("middle", 3.4), pages("small", 5)], "base");
    const decision = ask({ budget: { maxPerplexity: 40 }, qualities });
    expect(decision.variant).toBe("middle");
    expect(lost(decision)).toMatchObject({ base: "lower_quality", small: "max_perplexity" });
  });

  test("is never one without scores while one with scores fits", () => {
    const candidates = [candidate("unknown", 25), ...CANDIDATES];
    expect(lost(ask({ candidates })).unknown).toBe("unscored");
    const tight = ask({ candidates: [candidate("base", 20), candidate("unknown", 1)], budget: { latencyMs: 100 } });
    expect([tight.variant, tight.rule]).toEqual(["unknown", "unscored"]);
    expect(tight.breaks).toEqual([]);
  });

  test("of none with scores is the one meant for use that computes most", () => {
    const candidates = [
      candidate("odd", 40, { status: "research" }),
      candidate("less", 10),
      candidate("more", 20),
      candidate("trial", 30, { status: "experimental" }),
    ];
    expect(ask({ candidates }).variant).toBe("more");
    expect(ask({ candidates, qualities: createQualityBook([], "") }).rule).toBe("unscored");
  });

  test("is not one under quarantine, nor one without room, unless it is named", () => {
    const candidates = [
      candidate("base", 20, { quarantined: true }),
      candidate("middle", 10, { capacity: 59 }),
      candidate("small", 5),
    ];
    const decision = ask({ candidates });
    expect(decision.variant).toBe("small");
    expect(lost(decision)).toMatchObject({ base: "quarantined", middle: "capacity" });
    expect(ask({ candidates, pinned: "base" }).variant).toBe("base");
    expect(decide({ ...questionOf(), candidates: candidates.slice(0, 2) })).toBeUndefined();
  });

  const questionOf = (): Question => ({
    requestId: "r",
    work: { promptTokens: 50, tokens: { p50: 10, p90: 10, p99: 10, high: 10 } },
    needed: 60,
    elapsedMs: 0,
    budget: NO_BUDGET,
    candidates: CANDIDATES,
    load: IDLE,
    profile: PROFILE,
    crowding: () => 0,
    qualities: QUALITIES,
  });
});

describe("noisy scores", () => {
  // Same mean as the base, on other items: a difference of 0.2 points that 40 discordant items cannot prove.
  const alike = items("alike", (i) => (i < 18 ? false : i < 400 || (i >= 400 && i < 420)));

  test("of variants that cannot be told apart let the cheaper one serve", () => {
    const decision = ask({
      candidates: [...CANDIDATES, candidate("alike", 12)],
      qualities: createQualityBook([...SCORES, alike], "base"),
    });
    expect([decision.variant, decision.rule]).toEqual(["alike", "tied_cheaper"]);
    expect(lost(decision)).toMatchObject({ base: "tied_dearer", middle: "lower_quality" });
  });

  test("rank by their lower bound: a lucky one does not win by its mean", () => {
    // 0.4 points above the base, by 30 items won and 26 lost: the standard error is 0.75 points.
    const lucky = items("lucky", (i) => (i < 26 ? false : i < 430));
    const book = createQualityBook([...SCORES, lucky], "base");
    const quality = book.of("lucky")!;
    expect(quality.accNorm).toBeCloseTo(40.4, 9);
    expect(quality.toBase?.difference).toBeCloseTo(0.4, 9);
    // By hand: variance (56 - 4²/1000) / 999 of the differences.
    expect(quality.toBase?.se).toBeCloseTo(100 * Math.sqrt((56 - 16 / 1000) / 999 / 1000), 9);
    expect(quality.bound.hellaswag).toBeCloseTo(40.4 - (quality.toBase?.se ?? 0), 9);
    expect(book.of("base")?.bound.hellaswag).toBe(40);
    const decision = ask({ candidates: [...CANDIDATES, candidate("lucky", 30)], qualities: book });
    expect(decision.variant).toBe("base");
  });
});

describe("preferences", () => {
  test("for speed and cost choose among those that fit, and no research variant unless it is allowed", () => {
    const candidates = [
      candidate("base", 20),
      candidate("middle", 10, { status: "experimental" }),
      candidate("small", 5, { status: "research" }),
    ];
    expect(ask({ candidates, budget: { prefer: "speed" } })).toMatchObject({ variant: "middle", rule: "fastest" });
    expect(lost(ask({ candidates, budget: { prefer: "cost" } }))).toMatchObject({ base: "dearer", small: "research" });
    expect(ask({ candidates, budget: { prefer: "cost", minHellaswag: 20 } }).variant).toBe("middle");
    expect(ask({ candidates, budget: { prefer: "cost", allowResearch: true } })).toMatchObject({
      variant: "small",
      rule: "cheapest",
    });
  });

  test("for speed goes by what was measured, for cost by what is computed", () => {
    const state = {};
    const profile = profileOf(state, 0.95, 0);
    const slow = profile.of("middle");
    const times10 = (factors: typeof slow.alone.ttft) => ({
      ...factors,
      p50: factors.p50 * 10,
      high: factors.high * 10,
    });
    const measured = {
      machine: profile.machine,
      of: (variant: string) =>
        variant === "small"
          ? {
              alone: { ttft: times10(slow.alone.ttft), tpot: times10(slow.alone.tpot), latency: slow.alone.latency },
              shared: slow.shared,
            }
          : profile.of(variant),
    };
    expect(ask({ profile: measured, budget: { prefer: "speed" } }).variant).toBe("middle");
    expect(ask({ profile: measured, budget: { prefer: "cost" } }).variant).toBe("small");
  });
});

describe("when nothing fits", () => {
  test("the nearest in time serves, of those that are good enough", () => {
    const decision = ask({ budget: { latencyMs: 1 } });
    expect([decision.variant, decision.rule, decision.breaks]).toEqual(["small", "nearest", ["latency_ms"]]);
    expect(ask({ budget: { latencyMs: 1, minHellaswag: 39 } })).toMatchObject({
      variant: "base",
      breaks: ["latency_ms"],
    });
    expect(ask({ budget: { latencyMs: 1 }, elapsedMs: 50 }).variant).toBe("small");
  });

  test("the nearest is never a research variant, unless it is allowed or named", () => {
    const candidates = [candidate("base", 20), candidate("middle", 10), candidate("small", 5, { status: "research" })];
    const decision = ask({ candidates, budget: { latencyMs: 1 } });
    expect(decision).toMatchObject({ variant: "middle", rule: "nearest", breaks: ["latency_ms"] });
    expect(lost(decision)).toMatchObject({ base: "latency_ms", small: "research" });
    expect(ask({ candidates, budget: { latencyMs: 1, allowResearch: true } }).variant).toBe("small");
    expect(ask({ candidates, pinned: "small" }).variant).toBe("small");
  });

  test("the best serves, of those that are in time", () => {
    const decision = ask({ budget: { minHellaswag: 90, latencyMs: (high("base") + high("middle")) / 2 } });
    expect(decision).toMatchObject({ variant: "middle", rule: "nearest", breaks: ["min_hellaswag"] });
  });
});

test("a named variant serves, and its decision says which limits it is predicted to break", () => {
  const decision = ask({ pinned: "base", budget: { latencyMs: 1, minHellaswag: 45, tpotMs: 1000 } });
  expect([decision.variant, decision.rule]).toEqual(["base", "pinned"]);
  expect(decision.breaks).toEqual(["latency_ms", "min_hellaswag"]);
});

describe("hysteresis", () => {
  const budget = { latencyMs: high("base") * 1.05 };
  test("keeps the variant that served last while a better one fits by a hair", () => {
    expect(ask({ budget }).variant).toBe("base");
    const decision = ask({ budget, incumbent: "middle" });
    expect(decision.variant).toBe("middle");
    expect(lost(decision).base).toBe("margin");
  });
  test("lets a better one take over that fits with room", () => {
    expect(ask({ budget: { latencyMs: high("base") * 1.11 }, incumbent: "middle" }).variant).toBe("base");
  });
  test("does not hold a variant that no longer fits", () => {
    const tight = { latencyMs: (high("base") + high("middle")) / 2 };
    expect(ask({ budget: tight, incumbent: "base" }).variant).toBe("middle");
  });
  test("settles, where predictions go up and down around a budget", () => {
    const flips = (keep: boolean): number => {
      let changes = 0;
      let last: string | undefined;
      for (let i = 0; i < 100; i++) {
        const { variant } = ask({
          budget,
          elapsedMs: (i % 2) * high("base") * 0.08,
          incumbent: keep ? last : undefined,
        });
        if (last !== undefined && variant !== last) changes++;
        last = variant;
      }
      return changes;
    };
    expect(flips(false)).toBe(99);
    expect(flips(true)).toBe(1);
  });
});

describe("exploration", () => {
  const policy = { ...POLICY, explore: 0.02 };
  const close = [items("base", (i) => i < 400), items("middle", (i) => i < 390), items("small", (i) => i < 300)];
  const qualities = createQualityBook(close, "base");
  const explored = (budget: Partial<Budget> = {}, wide = policy) =>
    Array.from({ length: 5000 }, (_, i) => ask({ requestId: `request ${i}`, policy: wide, budget, qualities })).filter(
      ({ rule }) => rule === "explore",
    );

  test("takes its share of requests, among variants little worse than the best", () => {
    const found = explored();
    expect(found.length).toBeGreaterThan(70);
    expect(found.length).toBeLessThan(130);
    expect(new Set(found.map(({ variant }) => variant))).toEqual(new Set(["base", "middle"]));
  });
  test("never breaks a budget", () => {
    const found = explored({ latencyMs: (high("base") + high("middle")) / 2 }, { ...policy, exploreWithin: 50 });
    expect(found.length).toBeGreaterThan(70);
    expect(new Set(found.map(({ variant }) => variant))).toEqual(new Set(["middle", "small"]));
  });
  test("depends on the request's id alone", () => {
    const id = explored()[0]?.chosen.variant;
    expect(explored()[0]?.chosen.variant).toBe(id);
  });
});

describe("room for others", () => {
  // Every millisecond keeps a share of a request from its budget that is worth a fiftieth of a point.
  const crowding = (busyMs: number): number => busyMs / 50 / POLICY.price;
  test("is worth more than a better score, for a request with a limit in time", () => {
    const decision = ask({ budget: { latencyMs: 1e6 }, crowding });
    expect([decision.variant, decision.rule]).toEqual(["middle", "headroom"]);
    expect(lost(decision)).toMatchObject({ base: "headroom", small: "lower_quality" });
  });
  test("takes nothing from a request without one", () => {
    const harsh = (busyMs: number): number => busyMs;
    expect(ask({ crowding: harsh }).variant).toBe("base");
    expect(ask({ budget: { latencyMs: 1e6 }, crowding: harsh }).variant).toBe("small");
  });
});
