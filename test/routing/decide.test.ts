import { describe, expect, test } from "vitest";
import { type Budget, NO_BUDGET } from "../../src/routing/budget.ts";
import { type Costs, REFERENCE_PACE } from "../../src/routing/costs.ts";
import { type Decision, decide } from "../../src/routing/decide.ts";
import { type Metric, profileOf, timeAt } from "../../src/routing/latency.ts";
import { exactly } from "../../src/routing/length.ts";
import { loadOf } from "../../src/routing/load.ts";
import { createQualityBook, isTied, type Recorded, worthOf } from "../../src/routing/quality.ts";
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
const PROFILE = profileOf({}, 0);
const WORK = { promptTokens: 50, tokens: exactly(10), maxTokens: 10, allowed: {} };

function ask({ budget, ...question }: Partial<Omit<Question, "budget">> & { budget?: Partial<Budget> } = {}): Decision {
  const decision = decide({
    requestId: "request",
    work: WORK,
    needed: 60,
    elapsedMs: 0,
    candidates: CANDIDATES,
    load: IDLE,
    profile: PROFILE,
    crowding: () => 0,
    overtaking: () => 0,
    quantile: 0.95,
    qualities: QUALITIES,
    policy: { ...POLICY, explore: 0 },
    ...question,
    budget: { ...NO_BUDGET, ...budget },
  });
  if (!decision) throw new Error("no decision");
  return decision;
}

const lost = ({ verdicts }: Decision) => Object.fromEntries(verdicts.map((verdict) => [verdict.variant, verdict.lost]));
/** What a variant is predicted to take with a probability, alone. */
const timeOf = (variant: string, share: number, metric: Metric = "latency"): number =>
  timeAt(ask().verdicts.find((verdict) => verdict.variant === variant)!.prediction!, metric, share);
const high = (variant: string): number => timeOf(variant, 0.95);
const of = (decision: Decision, variant: string) => decision.verdicts.find((verdict) => verdict.variant === variant)!;

describe("the most useful variant", () => {
  test("is the one with the greatest product of quality and the probability to be in time", () => {
    // The base is in time with 0.5, the middle one (13 of the base's 15 points above chance) always.
    const decision = ask({ budget: { latencyMs: timeOf("base", 0.5) } });
    expect([decision.variant, decision.rule, decision.breaks]).toEqual(["middle", "useful", []]);
    expect(of(decision, "base").inTime).toBeGreaterThan(0.4);
    expect(of(decision, "base").inTime).toBeLessThan(0.6);
    expect(of(decision, "middle").worth).toBeCloseTo(13 / 15, 9);
    expect(of(decision, "middle").usefulness).toBeCloseTo(13 / 15, 2);
    expect(of(decision, "small").worth).toBeCloseTo(5 / 15, 9);
    expect(lost(decision)).toMatchObject({ base: "less_useful", small: "less_useful" });
  });

  test("takes a risk that is worth it: a late base now and then for better answers", () => {
    const decision = ask({ budget: { latencyMs: timeOf("base", 0.93) } });
    expect([decision.variant, decision.breaks]).toEqual(["base", []]);
    expect(of(decision, "base").inTime).toBeLessThan(0.96);
  });

  test("is, where the best will not do, of those within a twentieth the surest, or the one that served last", () => {
    const alike = { ...POLICY, explore: 0, near: 0.7 };
    const budget = { latencyMs: timeOf("middle", 0.9) };
    expect(ask({ budget, policy: alike })).toMatchObject({ variant: "small", rule: "surest" });
    expect(lost(ask({ budget, policy: alike })).middle).toBe("less_sure");
    const kept = ask({ budget, policy: alike, incumbent: "middle" });
    expect([kept.variant, kept.rule]).toEqual(["middle", "useful"]);
    const later = { latencyMs: timeOf("middle", 0.99) };
    expect(ask({ budget: later, policy: alike, incumbent: "small" })).toMatchObject({ variant: "small", rule: "kept" });
    expect(ask({ budget: { latencyMs: 1e6 }, policy: alike, incumbent: "middle" }).variant).toBe("base");
  });

  test("is the best, unless another is more useful by more than estimates err", () => {
    const policy = { ...POLICY, explore: 0, near: 0, margin: 0 };
    const budget = { latencyMs: timeOf("base", 0.75) };
    const left = ask({ budget, policy });
    expect(left.variant).toBe("middle");
    const gain = (of(left, "middle").usefulness ?? 0) - (of(left, "base").usefulness ?? 0);
    expect(gain).toBeGreaterThan(0);
    const kept = ask({ budget, policy: { ...policy, margin: gain + 0.001 } });
    expect([kept.variant, kept.rule]).toEqual(["base", "useful"]);
    expect(lost(kept)).toMatchObject({ middle: "less_useful", small: "less_useful" });
    expect(ask({ budget, policy: { ...policy, margin: gain - 0.001 } }).variant).toBe("middle");
  });

  test("is never a broken one for the sake of punctuality", () => {
    const broken = items("broken", (i) => i < 245);
    const decision = ask({
      candidates: [...CANDIDATES, candidate("broken", 0.1)],
      qualities: createQualityBook([...SCORES, broken], "base"),
      budget: { latencyMs: timeOf("small", 0.3) },
    });
    expect(decision.variant).toBe("small");
    expect(of(decision, "broken")).toMatchObject({ worth: 0, inTime: 1 });
  });
});

describe("a budget that is a promise", () => {
  test.each([
    ["latencyMs", "latency_ms"],
    ["ttftMs", "ttft_ms"],
    ["tpotMs", "tpot_ms"],
  ] as const)("keeps %s with the probability that it names", (field, limit) => {
    const metric = limit.replace("_ms", "") as Metric;
    const [likely, sure] = [timeOf("base", 0.5, metric), timeOf("base", 0.95, metric)];
    expect(sure).toBeGreaterThan(1.2 * likely);
    const decision = ask({ budget: { [field]: 0.98 * sure, quantile: 0.95 } });
    expect([decision.variant, decision.rule]).toEqual(["middle", "best"]);
    expect(lost(decision).base).toBe(limit);
    expect(ask({ budget: { [field]: sure * 1.001, quantile: 0.95 } }).variant).toBe("base");
    expect(ask({ budget: { [field]: 0.98 * sure, quantile: 0.8 } }).variant).toBe("base");
  });

  test("is a strict one, too, at the gateway's quantile", () => {
    const budget = { latencyMs: 0.98 * high("base"), strict: true };
    expect(ask({ budget }).variant).toBe("middle");
    expect(ask({ budget, quantile: 0.8 }).variant).toBe("base");
  });

  test("that no variant keeps is told to be broken, by the nearest", () => {
    const decision = ask({ budget: { latencyMs: 0.9 * high("small"), quantile: 0.95 } });
    expect(decision).toMatchObject({ variant: "small", rule: "nearest", breaks: ["latency_ms"] });
  });
});

describe("the best variant", () => {
  test("answers without a budget", () => {
    const decision = ask();
    expect([decision.variant, decision.rule]).toEqual(["base", "best"]);
    expect(lost(decision)).toEqual({ base: undefined, middle: "lower_quality", small: "lower_quality" });
  });

  test("counts the time that has gone by", () => {
    const budget = { latencyMs: high("base") * 1.05 };
    expect(ask({ budget }).variant).toBe("base");
    expect(ask({ budget, elapsedMs: high("base") * 0.4 }).variant).toBe("middle");
  });

  test("counts what the replica has to do for others", () => {
    const { costs } = CANDIDATES[0]!;
    const other = {
      costs,
      pace: REFERENCE_PACE,
      promptTokens: 50,
      running: true,
      prefilled: 50,
      expectedTokens: 50,
      maxTokens: 50,
    };
    const begun = { tokens: 5, allowed: { latencyMs: 1 }, askedAt: 0, firstAt: 0, steppedAt: 0, worth: 0 };
    const load = loadOf(Array.from({ length: 3 }, () => ({ ...other, ...begun })));
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
    expect(decision.variant).toBe("base");
    expect(lost(decision)).toMatchObject({ middle: "lower_quality", small: "max_perplexity" });
    expect(ask({ budget: { maxPerplexity: 31 }, qualities }).variant).toBe("middle");
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
    work: WORK,
    needed: 60,
    elapsedMs: 0,
    budget: NO_BUDGET,
    candidates: CANDIDATES,
    load: IDLE,
    profile: PROFILE,
    crowding: () => 0,
    overtaking: () => 0,
    quantile: 0.95,
    qualities: QUALITIES,
  });
});

describe("scores", () => {
  const pages = (variant: string, perWord: number): Recorded => ({
    variant,
    pages: new Map(Array.from({ length: 20 }, (_, i) => [i, { logLikelihood: -perWord * (100 + i), words: 100 + i }])),
  });

  test("count from chance, as a share of the base's, and a lucky variant counts as the base", () => {
    const lucky = items("lucky", (i) => (i < 26 ? false : i < 430));
    const book = createQualityBook([...SCORES, items("guessing", (i) => i < 240), lucky], "base");
    const worths = ["base", "middle", "small", "guessing", "lucky", "none"].map((variant) => worthOf(book.of(variant)));
    expect(worths).toEqual([1, expect.closeTo(13 / 15, 9), expect.closeTo(5 / 15, 9), 0, 1, undefined]);
  });

  test("of perplexity count by the logarithm of what the base's is multiplied by, down to nothing at four times", () => {
    const book = createQualityBook(
      [pages("base", 3.5), pages("double", 3.5 + Math.log(2)), pages("broken", 3.5 + Math.log(4))],
      "base",
    );
    const worths = ["base", "double", "broken"].map((variant) => worthOf(book.of(variant)));
    expect(worths).toEqual([1, expect.closeTo(0.5, 9), expect.closeTo(0, 9)]);
  });

  test("of several measures are as good as the worst of them", () => {
    const both = [0, 1].map((i) => ({ ...SCORES[i]!, ...pages(SCORES[i]!.variant, 3.5 + i * Math.log(3)) }));
    const book = createQualityBook(both, "base");
    expect(worthOf(book.of("middle"))).toBeCloseTo(1 - Math.log(3) / Math.log(4), 9);
    expect(worthOf(book.of("middle"), "hellaswag")).toBeCloseTo(13 / 15, 9);
  });

  test("are paired: their error is that of the items on which two variants differ", () => {
    // 0.4 points above the base, by 30 items won and 26 lost: the standard error is 0.75 points.
    const quality = createQualityBook([...SCORES, items("lucky", (i) => (i < 26 ? false : i < 430))], "base").of(
      "lucky",
    )!;
    expect(quality.accNorm).toBeCloseTo(40.4, 9);
    expect(quality.toBase?.difference).toBeCloseTo(0.4, 9);
    // By hand: variance (56 - 4²/1000) / 999 of the differences.
    expect(quality.toBase?.se).toBeCloseTo(100 * Math.sqrt((56 - 16 / 1000) / 999 / 1000), 9);
  });
});

describe("a tie", () => {
  // On other items than the base: a difference of 0.2 points that 38 discordant items cannot prove.
  const right = (i: number): boolean => (i < 18 ? false : i < 400 || (i >= 400 && i < 416));
  const pages = (perWord: number) =>
    new Map(
      Array.from({ length: 20 }, (_, i) => [i, { logLikelihood: -perWord * (100 + i) - (i % 3), words: 100 + i }]),
    );
  const tied = (perWord: number | undefined, stepMs: number): Decision => {
    const alike = { ...items("alike", right), pages: perWord === undefined ? undefined : pages(perWord) };
    const base = { ...SCORES[0]!, pages: perWord === undefined ? undefined : pages(3.5) };
    const qualities = createQualityBook([base, ...SCORES.slice(1), alike], "base");
    return ask({ candidates: [...CANDIDATES, candidate("alike", stepMs)], qualities });
  };

  test("lets the one that computes less answer, where that is worth the loss at the exchange rate", () => {
    const decision = tied(undefined, 12);
    expect([decision.variant, decision.rule]).toEqual(["alike", "tied_cheaper"]);
    expect(lost(decision)).toMatchObject({ base: "tied_dearer", middle: "lower_quality" });
  });

  test("is no reason to lose quality for hardly any computation", () => {
    // 0.2 of 15 points are 1.3 hundredths, 3 % less computation are worth 0.3.
    expect(tied(undefined, 19.4)).toMatchObject({ variant: "base", rule: "best" });
  });

  test("is none where any measure tells two variants apart", () => {
    // As with attn-drop-5: within one standard error on HellaSwag, but perplexity a third worse.
    const decision = tied(3.5 + Math.log(1.3), 12);
    expect([decision.variant, lost(decision).alike]).toEqual(["base", "lower_quality"]);
    const book = createQualityBook(
      [
        { ...SCORES[0]!, pages: pages(3.5) },
        { ...items("alike", right), pages: pages(3.5 + Math.log(1.3)) },
      ],
      "base",
    );
    expect(isTied(book, "base", "alike", "hellaswag")).toBe(true);
    expect(isTied(book, "base", "alike")).toBe(false);
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
    const profile = profileOf(state, 0);
    const slow = profile.of("middle");
    const times10 = (factors: typeof slow.alone.ttft) => ({ ...factors, p50: factors.p50 * 10 });
    const measured = {
      ...profile,
      of: (variant: string) =>
        variant === "small"
          ? {
              ...slow,
              alone: { ttft: times10(slow.alone.ttft), tpot: times10(slow.alone.tpot), latency: slow.alone.latency },
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
    const decision = ask({
      budget: { minHellaswag: 90, latencyMs: (timeOf("base", 0.5) + timeOf("middle", 0.5)) / 2 },
    });
    expect(decision).toMatchObject({ variant: "middle", rule: "nearest", breaks: ["min_hellaswag"] });
  });
});

test("a named variant serves, and its decision says which limits it is predicted to break", () => {
  const decision = ask({ pinned: "base", budget: { latencyMs: 1, minHellaswag: 45, tpotMs: 1000 } });
  expect([decision.variant, decision.rule]).toEqual(["base", "pinned"]);
  expect(decision.breaks).toEqual(["latency_ms", "min_hellaswag"]);
});

describe("exploration", () => {
  const policy = { ...POLICY, explore: 0.02 };
  const close = [items("base", (i) => i < 400), items("middle", (i) => i < 390), items("small", (i) => i < 300)];
  const qualities = createQualityBook(close, "base");
  const explored = (budget: Partial<Budget>) =>
    Array.from({ length: 5000 }, (_, i) => ask({ requestId: `request ${i}`, policy, budget, qualities })).filter(
      ({ rule }) => rule === "explore",
    );

  test("takes its share of requests, among variants that are about as useful as the best", () => {
    const found = explored({ latencyMs: 1e6 });
    expect(found.length).toBeGreaterThan(70);
    expect(found.length).toBeLessThan(130);
    expect(new Set(found.map(({ variant }) => variant))).toEqual(new Set(["base", "middle"]));
  });
  test("leaves requests without a limit in time to the best", () => {
    expect(explored({})).toEqual([]);
  });
  test("depends on the request's id alone", () => {
    const [first] = explored({ latencyMs: 1e6 });
    expect(explored({ latencyMs: 1e6 })[0]?.variant).toBe(first?.variant);
  });
});

describe("what others lose", () => {
  // Three hundred milliseconds take a whole answer's worth from those that come later.
  const crowding = (busyMs: number): number => busyMs / 300;
  test("is taken from the usefulness of an answer to a request with a limit in time", () => {
    const decision = ask({ budget: { latencyMs: 1e6 }, crowding });
    expect(decision.variant).toBe("middle");
    const { usefulness = 0, worth = 0 } = of(decision, "middle");
    const busyMs = 50 * 1 + 10 * 10;
    expect(worth - usefulness).toBeGreaterThan((0.9 * POLICY.others * busyMs) / 300);
    expect(worth - usefulness).toBeLessThan((1.1 * POLICY.others * busyMs) / 300);
  });
  test("is nothing for a request without one", () => {
    expect(ask({ crowding: (busyMs) => busyMs }).variant).toBe("base");
  });
  test("counts requests under way that would be late because of the answer", () => {
    const { costs } = CANDIDATES[0]!;
    const other = {
      costs,
      pace: REFERENCE_PACE,
      promptTokens: 50,
      running: true,
      prefilled: 50,
      expectedTokens: 20,
      maxTokens: 20,
    };
    const late = { ...other, tokens: 10, allowed: { latencyMs: 600 }, askedAt: 0, firstAt: 0, steppedAt: 0, worth: 1 };
    const budget = { latencyMs: 500 };
    const work = { ...WORK, allowed: budget };
    const free = ask({ budget, work, load: loadOf([{ ...late, worth: 0 }]) });
    const decision = ask({ budget, work, load: loadOf([late]) });
    expect(of(free, "base").usefulness! - of(decision, "base").usefulness!).toBeGreaterThan(0.01);
    expect(of(free, "base").inTime).toBe(of(decision, "base").inTime);
  });
});
