import { describe, expect, it } from "vitest";
import plain from "../../dist/kernels/plain.wasm";
import relaxed from "../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../evaluation/random.ts";
import { logSumExp } from "../../src/engine/sampling/index.ts";
import type { StepInput } from "../../src/engine/types.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import { createEngineScorer, type Subject } from "../../src/scoring/engine-scorer.ts";
import { ScoringError } from "../../src/scoring/scorer.ts";
import type { Plan } from "../../src/variants/plan.ts";
import { config, makeTiny, tinyPlan } from "../engine/wasm/tiny.ts";

const tiny = makeTiny();
const plan = tinyPlan(tiny.base);
const engine = await createWasmEngine({ base: tiny.base, open: tiny.open, modules: { relaxed, plain } });
const scorer = createEngineScorer({ engine, plan });
const random = mulberry32(5);
const tokens = (count: number): number[] => Array.from({ length: count }, () => Math.floor(random() * config.vocab));

/** Log-likelihood of a continuation from whole rows of logits, in a sequence of its own. */
async function fromLogits(context: readonly number[], continuation: readonly number[]): Promise<number> {
  const ids = [...context, ...continuation];
  const sequence = await engine.open(plan, ids.length);
  let sum = 0;
  for (let at = 0; at < ids.length - 1; at++) {
    const [logits] = await engine.step([{ sequence, tokens: [ids[at]!], logits: "last" }], () => undefined);
    if (at >= context.length - 1) sum += logits![ids[at + 1]!]! - logSumExp(logits!);
  }
  sequence.close();
  return sum;
}

describe("likelihoods", () => {
  // Chunks hold 64 tokens: contexts and continuations below, at and over that.
  it.each([
    [1, 1],
    [2, 64],
    [40, 3],
    [64, 65],
    [65, 1],
    [150, 90],
  ])("of continuations after %i tokens are the sums over the model's logits", async (length, continuation) => {
    const context = tokens(length);
    const continuations = [tokens(continuation), tokens(3), tokens(1)];
    const { logLikelihoods } = await scorer.answer({ type: "likelihood", context, continuations });
    for (const [i, targets] of continuations.entries()) {
      const expected = await fromLogits(context, targets);
      // Float32 log-probabilities, one rounding each.
      expect(Math.abs(logLikelihoods[i]! - expected)).toBeLessThan(2e-6 * targets.length + 1e-6 * Math.abs(expected));
    }
  });

  it("of continuations that share a context have the bits of each alone", async () => {
    const context = tokens(70);
    const continuations = [tokens(9), tokens(80), tokens(1), tokens(30)];
    const { logLikelihoods } = await scorer.answer({ type: "likelihood", context, continuations });
    for (const [i, targets] of continuations.entries()) {
      const alone = await scorer.answer({ type: "likelihood", context, continuations: [targets] });
      expect(alone.logLikelihoods[0]).toBe(logLikelihoods[i]);
    }
  });

  it("take one pass over the context", async () => {
    let stepped = 0;
    const counting = createEngineScorer({
      plan,
      engine: {
        maxChunk: engine.maxChunk,
        open: engine.open,
        step(batch: readonly StepInput[], pace) {
          for (const input of batch) stepped += input.tokens.length;
          return engine.step(batch, pace);
        },
      },
    });
    const continuations = [tokens(5), tokens(6), tokens(7), tokens(8)];
    await counting.answer({ type: "likelihood", context: tokens(50), continuations });
    expect(stepped).toBe(49 + 5 + 6 + 7 + 8);
  });

  it("are refused where the model's logits are not finite", async () => {
    const bad = makeTiny({ poisoned: 7 });
    const poisoned = await createWasmEngine({ base: bad.base, open: bad.open, modules: { relaxed, plain } });
    const answer = createEngineScorer({ engine: poisoned, plan: tinyPlan(bad.base) }).answer({
      type: "likelihood",
      context: [5, 7],
      continuations: [[3]],
    });
    await expect(answer).rejects.toThrow(ScoringError);
  });
});

describe("greedy generation", () => {
  it("takes the likeliest token each time and ends with a stop token", async () => {
    const context = tokens(20);
    const free = await scorer.answer({ type: "greedy", context, maxTokens: 12, stopIds: [] });
    expect(free.ids).toHaveLength(12);
    for (const at of [0, 5, 11]) {
      const scored = await scorer.answer({
        type: "likelihood",
        context: [...context, ...free.ids.slice(0, at)],
        continuations: Array.from({ length: config.vocab }, (_, id) => [id]),
      });
      expect(scored.logLikelihoods.indexOf(Math.max(...scored.logLikelihoods))).toBe(free.ids[at]);
    }
    const stop = free.ids[4]!;
    const stopped = await scorer.answer({ type: "greedy", context, maxTokens: 12, stopIds: [stop, 299] });
    expect(stopped.ids).toEqual(free.ids.slice(0, free.ids.indexOf(stop) + 1));
  });
});

describe("a request", () => {
  it("is given up when its signal says so, and leaves no memory taken", async () => {
    const control = new AbortController();
    let steps = 0;
    const aborting = createEngineScorer({
      plan,
      engine: {
        maxChunk: engine.maxChunk,
        open: engine.open,
        step(batch, pace) {
          if (++steps === 2) control.abort(new Error("busy"));
          return engine.step(batch, pace);
        },
      },
    });
    const request = { type: "likelihood", context: tokens(200), continuations: [tokens(3)] } as const;
    await expect(aborting.answer(request, control.signal)).rejects.toThrow("busy");
    expect(steps).toBe(2);
    for (let i = 0; i < 50; i++) await scorer.answer({ ...request, context: tokens(100) });
  });

  it("without a context is refused", async () => {
    await expect(scorer.answer({ type: "likelihood", context: [], continuations: [[1]] })).rejects.toThrow(RangeError);
  });

  it("gives the event loop its turn by the pace", async () => {
    let turns = 0;
    const paced = createEngineScorer({
      engine,
      plan,
      pace: async () => {
        turns++;
      },
    });
    await paced.answer({ type: "likelihood", context: tokens(100), continuations: [tokens(4)] });
    expect(turns).toBeGreaterThan(6);
  });
});

describe("divergences", () => {
  const lighter = tinyPlan(tiny.base, [{ layer: 0 }, { layer: 2, attn: false }]);
  const against = (subject: Subject) => createEngineScorer({ engine, plan, reference: async () => subject });

  /** The logits after each token but the last, of the whole at once. */
  async function rowsOf(of: Plan, ids: readonly number[]): Promise<Float32Array[]> {
    const sequence = await engine.open(of, ids.length);
    const rows: Float32Array[] = [];
    for (const id of ids.slice(0, -1)) {
      const [row] = await engine.step([{ sequence, tokens: [id], logits: "last" }], () => undefined);
      rows.push(row!.slice());
    }
    sequence.close();
    return rows;
  }

  it.each([
    [1, 1],
    [70, 40],
    [3, 65],
  ])("after %i tokens, over a reply of %i, are those of the models' distributions", async (length, count) => {
    const [context, reply] = [tokens(length), tokens(count)];
    const from = length - 1;
    const ids = [...context, ...reply];
    const [a, b] = [await rowsOf(lighter, ids), await rowsOf(plan, ids)];
    let [kl, agreements] = [0, 0];
    for (let at = from; at < a.length; at++) {
      const [p, q] = [a[at]!, b[at]!];
      const [sumP, sumQ] = [logSumExp(p), logSumExp(q)];
      for (const [id, x] of p.entries()) kl += Math.exp(x - sumP) * (x - sumP - (q[id]! - sumQ));
      agreements += Number(p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q)));
    }
    const answer = await against({ engine, plan: lighter }).answer({ type: "divergence", context, reply });
    expect(answer).toMatchObject({ type: "divergence", tokens: count, agreements });
    expect(answer.kl).toBeGreaterThan(0);
    expect(Math.abs(answer.kl / kl - 1)).toBeLessThan(1e-4);
  });

  it("have the same bits where the reference has an engine of its own", async () => {
    const modules = { relaxed, plain };
    const own = await createWasmEngine({ base: tiny.base, open: tiny.open, modules });
    const request = { type: "divergence", context: tokens(30), reply: tokens(70) } as const;
    expect(await against({ engine: own, plan: lighter }).answer(request)).toEqual(
      await against({ engine, plan: lighter }).answer(request),
    );
  });

  it("from itself are nothing, at every token", async () => {
    const request = { type: "divergence", context: tokens(9), reply: tokens(33) } as const;
    expect(await against({ engine, plan }).answer(request)).toEqual({
      type: "divergence",
      tokens: 33,
      agreements: 33,
      kl: 0,
    });
  });

  it("need a reference, and leave no memory taken where one of the two does not fit", async () => {
    const request = { type: "divergence", context: tokens(100), reply: tokens(9) } as const;
    await expect(scorer.answer(request)).rejects.toThrow("no reference");
    const full = { ...engine, open: () => Promise.reject(new Error("full")) };
    const failing = createEngineScorer({ engine: full, plan, reference: async () => ({ engine, plan: lighter }) });
    const before = engine.residentBytes();
    await expect(failing.answer(request)).rejects.toThrow("full");
    expect(engine.residentBytes()).toBe(before);
  });

  it("of logits that are not finite are no scores", async () => {
    const broken = makeTiny({ poisoned: 7 });
    const other = await createWasmEngine({ base: broken.base, open: broken.open, modules: { relaxed, plain } });
    const reference = { engine: other, plan: tinyPlan(broken.base) };
    const request = { type: "divergence", context: [7], reply: tokens(2) } as const;
    await expect(against(reference).answer(request)).rejects.toThrow(ScoringError);
  });
});
