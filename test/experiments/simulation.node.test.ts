// What the verdicts promise, on simulated experiments that are looked at after each unit: users whose requests resemble each other, arms whose
// users differ in kind. Beside them the usual z-test, looked at as often, to show that these experiments would catch a test that is wrong.
import { describe, expect, it } from "vitest";
import { mulberry32, type Random } from "../../evaluation/random.ts";
import { createDifference } from "../../src/experiments/stats/difference.ts";
import { type Verdict, verdictOf } from "../../src/experiments/stats/interval.ts";

const RUNS = 2000;
const UNITS = 500;
const ALPHA = 0.05;
const MARGIN = 0.15;
/** Runs of 2,000 that may be wrong at alpha 0.05. Were the truth exactly 0.05, the standard error of the count would be 9.7. */
const ALLOWED = 100;

interface User {
  readonly requests: number;
  /** The mean of the user's requests. */
  readonly value: number;
}

/** One to twenty requests, mostly few; each succeeds with the user's own probability. */
function createUser(random: Random, probability: number): User {
  const requests = 1 + Math.floor(20 * random() ** 3);
  let successes = 0;
  for (let i = 0; i < requests; i++) if (random() < probability) successes++;
  return { requests, value: successes / requests };
}

/** Users spread evenly in the control; of two opposite kinds in the treatment. Mean 0.6, and 0.6 + effect. */
const userOf = (random: Random, isTreated: boolean, effect: number): User =>
  createUser(random, isTreated ? 0.6 + effect + (random() < 0.5 ? 0.25 : -0.25) : 0.25 + 0.7 * random());

/** A test that takes users one by one. */
interface Judge {
  observe(isTreated: boolean, user: User): void;
  verdict(): Verdict;
}

function ours(share: number): Judge {
  const difference = createDifference({ alpha: ALPHA, thresholds: [-MARGIN, 0] });
  return {
    observe: (isTreated, { value }) => difference.observe(isTreated, share, value),
    verdict: () => verdictOf(difference, MARGIN),
  };
}

/** The two-sample z-test at 1.96, as if it were done once. Its observations are users, or requests. */
function zTest(unit: "user" | "request"): Judge {
  const arms = [true, false].map(() => ({ count: 0, sum: 0, squares: 0 }));
  const limits = (): { lower: number; upper: number } => {
    const [treatment, control] = arms.map(({ count, sum, squares }) => ({
      count,
      mean: sum / count,
      variance: (squares / count - (sum / count) ** 2) / count,
    }));
    if (!treatment || !control || Math.min(treatment.count, control.count) < 20) return { lower: -1, upper: 1 };
    const error = 1.96 * Math.sqrt(treatment.variance + control.variance);
    const difference = treatment.mean - control.mean;
    return { lower: difference - error, upper: difference + error };
  };
  return {
    observe(isTreated, { requests, value }) {
      const arm = arms[isTreated ? 0 : 1]!;
      const count = unit === "user" ? 1 : requests;
      arm.count += count;
      arm.sum += value * count;
      // A request is 0 or 1, its own square.
      arm.squares += unit === "user" ? value ** 2 : value * count;
    },
    verdict: () =>
      verdictOf(
        { isAbove: (threshold) => limits().lower > threshold, isBelow: (threshold) => limits().upper < threshold },
        MARGIN,
      ),
  };
}

interface Outcome {
  /** All verdicts that some look gave. */
  readonly verdicts: ReadonlySet<Verdict>;
  /** Units until the first verdict. */
  readonly units: number;
}

/** An experiment, looked at after each user until `superior` or `inferior`. */
function run(random: Random, judge: Judge, effect: number, share: number, isShort: boolean): Outcome {
  const verdicts = new Set<Verdict>();
  let units = Number.POSITIVE_INFINITY;
  for (let unit = 1; unit <= UNITS; unit++) {
    const isTreated = random() < share;
    judge.observe(isTreated, userOf(random, isTreated, effect));
    const verdict = judge.verdict();
    if (verdict === "undecided") continue;
    verdicts.add(verdict);
    units = Math.min(units, unit);
    if (isShort || verdict !== "non-inferior") break;
  }
  return { verdicts, units };
}

const simulate = (
  judge: (share: number) => Judge,
  effect: number,
  { seed, isShort = false, share = 0.5 }: { seed: number; isShort?: boolean; share?: number },
): readonly Outcome[] => {
  const random = mulberry32(seed);
  return Array.from({ length: RUNS }, () => run(random, judge(share), effect, share, isShort));
};

const having = (outcomes: readonly Outcome[], ...wanted: Verdict[]): number =>
  outcomes.filter(({ verdicts }) => wanted.some((verdict) => verdicts.has(verdict))).length;

const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;

describe("verdicts under looking after each unit", () => {
  it.each([0.5, 0.2])("says superior or inferior of equal arms at most at alpha, with a share of %f", (share) => {
    const wrong = having(simulate(ours, 0, { seed: 11, share }), "superior", "inferior");
    console.log(`equal arms, share ${share}: ${wrong} of ${RUNS} wrong, ${ALLOWED} allowed`);
    expect(wrong).toBeLessThanOrEqual(ALLOWED);
  });

  it.each([0.5, 0.2])("says non-inferior of a difference at -margin at most at alpha, with a share of %f", (share) => {
    const wrong = having(simulate(ours, -MARGIN, { seed: 12, share }), "superior", "non-inferior");
    console.log(`difference at -margin, share ${share}: ${wrong} of ${RUNS} wrong, ${ALLOWED} allowed`);
    expect(wrong).toBeLessThanOrEqual(ALLOWED);
  });

  it("is right in at least 95 % of the experiments that end, with a difference of half the margin", () => {
    const outcomes = simulate(ours, MARGIN / 2, { seed: 13, isShort: true });
    const ended = outcomes.filter(({ verdicts }) => verdicts.size > 0);
    const wrong = having(ended, "inferior");
    // Spread of a user's mean, measured; then the sample of a test that is done once, at the same level, with 80 % power.
    const random = mulberry32(14);
    const variance = [true, false].map((isTreated) => {
      const values = Array.from({ length: 20_000 }, () => userOf(random, isTreated, MARGIN / 2).value);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    });
    const fixed = Math.ceil(((1.96 + 0.8416) ** 2 * 2 * (variance[0]! + variance[1]!)) / (1.5 * MARGIN) ** 2);
    const middle = median(outcomes.map(({ units }) => units));
    console.log(
      `difference at +margin/2: ${ended.length} of ${RUNS} end, ${wrong} wrong; median ${middle} units to a verdict, ` +
        `${fixed} for a test done once with 80 % power`,
    );
    expect(ended.length).toBeGreaterThan(RUNS * 0.9);
    expect(wrong).toBeLessThanOrEqual(ended.length * 0.05);
    expect(middle).toBeLessThan(3 * fixed);
  });

  it("would catch a z-test that is looked at: over users, and worse over requests", () => {
    for (const [unit, share] of [
      ["user", ALLOWED / RUNS],
      ["request", 0.25],
    ] as const) {
      const equal = having(
        simulate(() => zTest(unit), 0, { seed: 11 }),
        "superior",
        "inferior",
      );
      const atMargin = having(
        simulate(() => zTest(unit), -MARGIN, { seed: 12 }),
        "superior",
        "non-inferior",
      );
      console.log(`z-test over ${unit}s: ${equal} and ${atMargin} of ${RUNS} wrong`);
      expect(equal).toBeGreaterThan(share * RUNS);
      expect(atMargin).toBeGreaterThan(ALLOWED);
    }
  });
});

describe("a difference under load that changes", () => {
  it("calls equal arms different at most at alpha when both swing with the time of day", () => {
    const random = mulberry32(15);
    const runs = 1000;
    let wrong = 0;
    for (let i = 0; i < runs; i++) {
      const judge = ours(0.3);
      for (let unit = 0; unit < UNITS; unit++) {
        const level = 0.5 + 0.35 * Math.sin((unit / UNITS) * 2 * Math.PI);
        judge.observe(random() < 0.3, { requests: 1, value: level + 0.1 * (random() - 0.5) });
        if (judge.verdict() === "undecided" || judge.verdict() === "non-inferior") continue;
        wrong++;
        break;
      }
    }
    // 50 are allowed; the standard error of that count is 6.9.
    expect(wrong).toBeLessThanOrEqual(50);
  });

  it("covers the difference at every look", () => {
    const random = mulberry32(16);
    const runs = 200;
    let misses = 0;
    for (let i = 0; i < runs; i++) {
      const difference = createDifference({ alpha: ALPHA, thresholds: [] });
      let isMissed = false;
      for (let unit = 1; unit <= 300; unit++) {
        const isTreated = random() < 0.4;
        difference.observe(isTreated, 0.4, userOf(random, isTreated, 0.1).value);
        if (unit % 15 !== 0) continue;
        const { lower, upper } = difference.interval();
        isMissed ||= lower > 0.1 || upper < 0.1;
      }
      if (isMissed) misses++;
    }
    // 10 are allowed; the standard error of that count is 3.1.
    expect(misses).toBeLessThanOrEqual(10);
  });
});
