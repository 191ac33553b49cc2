import { describe, expect, it } from "vitest";
import {
  createSampler,
  logSumExp,
  type SamplerOptions,
  SamplingError,
  topLogprobs,
  usedTokens,
} from "../../../src/engine/sampling/index.ts";

const logitsOf = (...values: number[]): Float32Array => Float32Array.from(values);

/** Draws at positions 0 to `count` - 1 with a new sampler each time, so that no penalty builds up; counts per token. */
function draws(logits: Float32Array, options: Omit<SamplerOptions, "seed">, count = 20_000): number[] {
  const seen = new Array<number>(logits.length).fill(0);
  const sampler = createSampler({ seed: 20_240_607, ...options });
  for (let position = 0; position < count; position++) seen[sampler.next(logits, position).id]!++;
  return seen;
}

/** Pearson's statistic of counts against probabilities. */
function chiSquare(counts: number[], probabilities: number[]): number {
  const total = counts.reduce((a, b) => a + b, 0);
  return counts.reduce((sum, count, i) => {
    const expected = total * probabilities[i]!;
    if (expected === 0) return count === 0 ? sum : Number.POSITIVE_INFINITY;
    return sum + (count - expected) ** 2 / expected;
  }, 0);
}

function softmax(logits: number[]): number[] {
  const weights = logits.map((l) => Math.exp(l));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / total);
}

const LOGITS = [1, 0.5, -0.25, 2, -1, 0];
/** The 99.9th percentile of chi-square with 5 degrees of freedom. */
const LIMIT = 20.52;

describe("createSampler", () => {
  it("draws from the softmax of the logits", () => {
    expect(chiSquare(draws(logitsOf(...LOGITS), {}), softmax(LOGITS))).toBeLessThan(LIMIT);
  });

  it("divides the logits by the temperature", () => {
    const halved = softmax(LOGITS.map((l) => l / 0.5));
    const counts = draws(logitsOf(...LOGITS), { temperature: 0.5 });
    expect(chiSquare(counts, halved)).toBeLessThan(LIMIT);
    expect(chiSquare(counts, softmax(LOGITS))).toBeGreaterThan(LIMIT);
  });

  it("keeps the fewest tokens that reach top-p, the one that crosses it included", () => {
    const p = softmax(LOGITS);
    // By rank: ids 3, 0, 1, 5, 2, 4.
    const topP = p[3]! + p[0]! / 2;
    const kept = p.map((value, id) => (id === 3 || id === 0 ? value / (p[3]! + p[0]!) : 0));
    expect(chiSquare(draws(logitsOf(...LOGITS), { topP }), kept)).toBeLessThan(LIMIT);
  });

  it("keeps the top-k tokens, the lower id among equals", () => {
    const counts = draws(logitsOf(0, 1, 1, 1, 0), { topK: 2 }, 2000);
    expect(counts[1]! + counts[2]!).toBe(2000);
    expect(counts[1]).toBeGreaterThan(800);
    expect(counts[2]).toBeGreaterThan(800);
  });

  it("takes top-p of what top-k left", () => {
    // After top-k 2 the likeliest holds 73 %, of the whole distribution only 58 %.
    const counts = draws(logitsOf(1, 0, -1, -1), { topK: 2, topP: 0.7 }, 500);
    expect(counts).toEqual([500, 0, 0, 0]);
  });

  it("keeps tokens at least min-p times as likely as the likeliest", () => {
    const logits = LOGITS.map((l) => (l >= 2 + Math.log(0.3) ? l : Number.NEGATIVE_INFINITY));
    expect(chiSquare(draws(logitsOf(...LOGITS), { minP: 0.3 }), softmax(logits))).toBeLessThan(LIMIT);
  });

  it("agrees with a full sort on a large vocabulary for any top-p", () => {
    const logits = Float32Array.from({ length: 5000 }, (_, i) => 12 * Math.sin(i * 1.7) * Math.cos(i * 0.013));
    const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
    const p = softmax([...logits]);
    for (const topP of [0.1, 0.5, 0.9, 0.99, 0.9999]) {
      let mass = 0;
      const kept = new Set<number>();
      for (const id of order) {
        if (mass >= topP) break;
        mass += p[id]!;
        kept.add(id);
      }
      const sampler = createSampler({ seed: 3, topP });
      const drawn = new Set(Array.from({ length: 300 }, (_, position) => sampler.next(logits, position).id));
      expect([...drawn].filter((id) => !kept.has(id))).toEqual([]);
      expect(drawn.size).toBeGreaterThan(Math.min(5, kept.size - 1));
    }
  });

  it("at temperature 0 takes the likeliest token, the lowest id among equals", () => {
    expect(createSampler({ seed: 1, temperature: 0 }).next(logitsOf(0, 3, 3, 1), 0).id).toBe(1);
  });

  it("gives the same token for the same seed, choice and position, whatever was drawn before", () => {
    const logits = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i));
    const ids = (choice: number, seed: number | bigint, positions: number[]) => {
      const sampler = createSampler({ seed, choice });
      return positions.map((position) => sampler.next(logits, position).id);
    };
    const forwards = ids(0, 7, [10, 11, 12, 13]);
    expect(ids(0, 7, [13, 12, 11, 10])).toEqual(forwards.toReversed());
    expect(ids(1, 7, [10, 11, 12, 13])).not.toEqual(forwards);
    expect(ids(0, 8, [10, 11, 12, 13])).not.toEqual(forwards);
    expect(ids(0, 7n + 2n ** 32n, [10, 11, 12, 13])).not.toEqual(forwards);
    expect(ids(0, -1, [10, 11])).toEqual(ids(0, 2n ** 64n - 1n, [10, 11]));
  });

  it("returns the log-probability in the unmodified distribution", () => {
    const options = { seed: 1, temperature: 0, logitBias: new Map([[2, 100]]), topLogprobs: 2 };
    const { id, logprob, top } = createSampler(options).next(logitsOf(...LOGITS), 0);
    const p = softmax(LOGITS);
    expect(id).toBe(2);
    expect(logprob).toBeCloseTo(Math.log(p[2]!), 6);
    expect(top.map((t) => t.id)).toEqual([3, 0]);
    expect(top[0]!.logprob).toBeCloseTo(Math.log(p[3]!), 6);
  });

  it("leaves the logits as they were", () => {
    const logits = logitsOf(...LOGITS);
    createSampler({ seed: 1, repetitionPenalty: 2, promptIds: [0, 3], topP: 0.5 }).next(
      logits,
      0,
      Int32Array.of(0b1011),
    );
    expect([...logits]).toEqual([...logitsOf(...LOGITS)]);
  });

  it("draws only what the mask allows", () => {
    const sampler = createSampler({ seed: 5 });
    const logits = new Float32Array(70);
    const mask = Int32Array.of(0, 1 << 31, 0b10);
    const ids = new Set(Array.from({ length: 50 }, (_, position) => sampler.next(logits, position, mask).id));
    expect([...ids].sort()).toEqual([63, 65]);
  });

  it("throws SamplingError when nothing can be drawn", () => {
    const sampler = createSampler({ seed: 5 });
    expect(() => sampler.next(logitsOf(1, 2), 0, Int32Array.of(0))).toThrow(SamplingError);
    expect(() => sampler.next(logitsOf(Number.NaN, Number.NaN), 0)).toThrow(SamplingError);
    expect(() => sampler.next(logitsOf(0, Number.POSITIVE_INFINITY), 0)).toThrow(SamplingError);
  });
});

describe("penalties", () => {
  const greedy = (options: Omit<SamplerOptions, "seed">, logits: Float32Array, steps: number): number[] => {
    const sampler = createSampler({ seed: 1, temperature: 0, ...options });
    return Array.from({ length: steps }, (_, position) => sampler.next(logits, position).id);
  };

  it("presence: counts a token of the reply once", () => {
    // 3 falls to 2.4 once and stays there.
    expect(greedy({ presencePenalty: 0.6 }, logitsOf(3, 2.5, 2), 4)).toEqual([0, 1, 0, 0]);
  });

  it("frequency: counts every occurrence", () => {
    // 3, 2.4, 1.8: below 2.5, then below 2.
    expect(greedy({ frequencyPenalty: 0.6 }, logitsOf(3, 2.5, 2), 5)).toEqual([0, 1, 0, 2, 1]);
  });

  it("repetition: divides positive and multiplies negative logits, of the prompt too", () => {
    expect(greedy({ repetitionPenalty: 2, promptIds: [0] }, logitsOf(3, 2), 1)).toEqual([1]);
    expect(greedy({ repetitionPenalty: 2 }, logitsOf(-1, -1.5), 2)).toEqual([0, 1]);
    expect(greedy({ repetitionPenalty: 0.5, promptIds: [1] }, logitsOf(3, 2), 1)).toEqual([1]);
  });

  it("logit_bias: -100 bans, 100 forces", () => {
    expect(greedy({ logitBias: new Map([[0, -100]]) }, logitsOf(3, 2, 1), 1)).toEqual([1]);
    expect(greedy({ logitBias: new Map([[2, 100]]) }, logitsOf(3, 2, 1), 1)).toEqual([2]);
  });
});

describe("log-probabilities", () => {
  it("logSumExp is right for logits of any size", () => {
    expect(logSumExp(logitsOf(1000, 1000))).toBeCloseTo(1000 + Math.LN2, 9);
    expect(logSumExp(logitsOf(-1000, Number.NEGATIVE_INFINITY))).toBe(-1000);
  });

  it("topLogprobs lists likeliest first, the lowest id among equals", () => {
    expect(topLogprobs(logitsOf(1, 2, 2, 0), 3).map((t) => t.id)).toEqual([1, 2, 0]);
    expect(topLogprobs(logitsOf(1, 2), 5).map((t) => t.id)).toEqual([1, 0]);
    expect(topLogprobs(logitsOf(1, 2), 0)).toEqual([]);
  });
});

describe("tokens that stand for nothing", () => {
  const vocab = 70;
  const mask = usedTokens({
    vocab,
    unused: [
      [3, 4],
      [31, 34],
      [64, 70],
    ],
  });
  const isUsed = (id: number): boolean => id !== 3 && !(id >= 31 && id < 34) && id < 64;

  it("are never drawn, whatever their logits and biases", () => {
    const logits = Float32Array.from({ length: vocab }, (_, id) => (isUsed(id) ? 0 : 50));
    const all: Omit<SamplerOptions, "seed">[] = [
      ...[{ temperature: 0 }, {}, { topK: 3 }, { topP: 0.5 }],
      {
        logitBias: new Map([
          [3, 100],
          [64, 100],
        ]),
      },
    ];
    for (const options of all) {
      const sampler = createSampler({ seed: 1, ...options });
      for (let position = 0; position < 300; position++) {
        expect(isUsed(sampler.next(logits, position, mask).id)).toBe(true);
      }
    }
    const sampler = createSampler({ seed: 1 });
    const seen = new Set(Array.from({ length: 5000 }, (_, i) => sampler.next(new Float32Array(vocab), i, mask).id));
    expect(seen.size).toBe(60);
  });

  it("are none where a vocabulary has no such", () => {
    expect(usedTokens({ vocab })).toBeUndefined();
  });
});
