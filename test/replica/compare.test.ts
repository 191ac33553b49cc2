import { describe, expect, it, vi } from "vitest";
import plain from "../../dist/kernels/plain.wasm";
import relaxed from "../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../evaluation/random.ts";
import { type Engine, EngineError } from "../../src/engine/types.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import { compareAnswer } from "../../src/replica/compare.ts";
import { createPace } from "../../src/replica/pace.ts";
import { createWorkShare } from "../../src/replica/share.ts";
import { replicaSettings } from "../../src/replica-settings.ts";
import { createBatcher } from "../../src/scheduler/batch.ts";
import { compilePlan, type Plan } from "../../src/variants/plan.ts";
import { asKernels, reference } from "../engine/wasm/reference.ts";
import { config, makeTiny, tinyPlan } from "../engine/wasm/tiny.ts";
import { tinyBase, tinyRecipe } from "../support/base.ts";
import { countingEngine } from "../support/engine.ts";

const counted = compilePlan(tinyRecipe(), tinyBase());

function setUp({ engine, credit = 4e12, share: of = 1 }: { engine: Engine; credit?: number; share?: number }) {
  const share = createWorkShare(of);
  share.earn(credit / of);
  const earned = vi.fn(share.earn);
  const batcher = createBatcher({ engine, pace: createPace(1), maxRunning: 2, onWork: earned });
  const generate = (plan: Plan, maxTokens: number) => {
    const ended = Promise.withResolvers<string>();
    batcher.submit({
      plan,
      promptIds: [7, 7],
      maxTokens,
      endIds: [],
      sampler: { next: () => ({ id: 9, logprob: 0, top: [] }) },
      onToken: () => undefined,
      onEnd: (reason) => ended.resolve(reason),
      onError: ended.reject,
    });
    return ended.promise;
  };
  const compare = (reference: Plan, plan: Plan, promptIds: readonly number[], replyIds: readonly number[]) =>
    compareAnswer({ reference, plan, engine, batcher, share, request: { promptIds, replyIds, scope: "one" } });
  return { share, earned, generate, compare };
}

describe("an answer's comparison", async () => {
  const tiny = makeTiny();
  const modules = { relaxed, plain };
  const engine = await createWasmEngine({ base: tiny.base, open: tiny.open, modules });
  const full = tinyPlan(tiny.base);
  const cut = tinyPlan(tiny.base, [{ layer: 0 }, { layer: 1, attn: false }, { layer: 2 }]);
  const random = mulberry32(3);
  const tokens = (count: number): number[] => Array.from({ length: count }, () => Math.floor(random() * config.vocab));

  /** The same in double precision, from whole rows of logits, as the definitions have it. */
  function plainly(a: readonly Float64Array[], b: readonly Float64Array[], replyIds: readonly number[]) {
    const logSoftmax = (row: Float64Array): Float64Array => {
      const most = Math.max(...row);
      const total = most + Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0));
      return row.map((x) => x - total);
    };
    const sums = { kl: 0, agreement: 0, nll: 0 };
    for (const [i, target] of replyIds.entries()) {
      const [p, q] = [logSoftmax(a[i]!), logSoftmax(b[i]!)];
      sums.kl += p.reduce((sum, x, id) => sum + Math.exp(x) * (x - q[id]!), 0);
      sums.agreement += Number(p.indexOf(Math.max(...p)) === q.indexOf(Math.max(...q)));
      sums.nll -= q[target]!;
    }
    const [kl, agreement, nll] = [sums.kl, sums.agreement, sums.nll].map((sum) => sum / replyIds.length);
    return { kl: kl!, agreement: agreement!, nll: nll! };
  }

  async function engineRows(plan: Plan, promptIds: readonly number[], replyIds: readonly number[]) {
    const ids = [...promptIds, ...replyIds].slice(0, -1);
    const sequence = await engine.open(plan, ids.length);
    const rows: Float64Array[] = [];
    for (const id of ids) {
      const [logits] = await engine.step([{ sequence, tokens: [id], logits: "last" }], () => undefined);
      rows.push(Float64Array.from(logits!));
    }
    sequence.close();
    return rows.slice(promptIds.length - 1);
  }

  // Prompts and replies below, at and over pages of 32, chunks of 64 and rows of 4.
  it.each([
    [1, 1],
    [5, 4],
    [33, 9],
    [65, 30],
    [140, 70],
  ])("after %i tokens, %i long, is what whole rows in double precision say", async (prompt, reply) => {
    const [promptIds, replyIds] = [tokens(prompt), tokens(reply)];
    const { compare } = setUp({ engine });
    const told = await compare(full, cut, promptIds, replyIds);
    const expected = plainly(
      await engineRows(full, promptIds, replyIds),
      await engineRows(cut, promptIds, replyIds),
      replyIds,
    );
    expect(told).toMatchObject({ state: "compared", engine: "wasm", digest: engine.digest, tokens: reply });
    if (told.state !== "compared") return;
    expect(told.kl).toBeGreaterThan(0.01);
    expect(told.kl).toBeCloseTo(expected.kl, 9);
    expect(told.agreement).toBe(expected.agreement);
    expect(told.nll).toBeCloseTo(expected.nll, 9);
    // Once more, with the prompt's pages there already.
    expect(await compare(full, cut, promptIds, replyIds)).toEqual(told);
  });

  it("is near that of a forward pass in double precision", async () => {
    const [promptIds, replyIds] = [tokens(20), tokens(12)];
    const told = await setUp({ engine }).compare(full, cut, promptIds, replyIds);
    const ids = [...promptIds, ...replyIds].slice(0, -1);
    const rows = (plan: Plan) => reference(plan, tiny.image, ids, asKernels).slice(promptIds.length - 1);
    const expected = plainly(rows(full), rows(cut), replyIds);
    if (told.state !== "compared") throw new Error(told.state);
    expect(Math.abs(told.kl - expected.kl)).toBeLessThan(0.01 * expected.kl);
    expect(told.agreement).toBe(expected.agreement);
    expect(Math.abs(told.nll - expected.nll)).toBeLessThan(0.01 * expected.nll);
  });

  it("with the variant itself has a divergence of exactly 0 and an agreement of 1", async () => {
    const told = await setUp({ engine }).compare(cut, cut, tokens(40), tokens(21));
    expect(told).toMatchObject({ state: "compared", kl: 0, agreement: 1 });
  });

  it("computes a prompt once that a request of the same scope has computed", async () => {
    const promptIds = tokens(97);
    const inputs: number[] = [];
    const counting: Engine = {
      ...engine,
      step: (batch, pace) => {
        for (const { tokens } of batch) inputs.push(tokens.length);
        return engine.step(batch, pace);
      },
    };
    const { compare } = setUp({ engine: counting });
    const computed = async (reply: number): Promise<number> => {
      inputs.length = 0;
      expect(await compare(full, cut, promptIds, tokens(reply))).toMatchObject({ state: "compared" });
      return inputs.reduce((sum, count) => sum + count, 0);
    };
    expect(await computed(5)).toBe(2 * (96 + 5));
    expect(await computed(8)).toBe(2 * 8);
  });

  it("fails for good where the tokens can never fit, or a variant computes no numbers", async () => {
    const { compare } = setUp({ engine });
    expect(await compare(full, cut, tokens(250), tokens(30))).toMatchObject({
      state: "failed",
      message: expect.stringContaining("at most 256 tokens"),
    });
    const bad = makeTiny({ poisoned: 7 });
    const poisoned = await createWasmEngine({ base: bad.base, open: bad.open, modules });
    expect(
      await setUp({ engine: poisoned }).compare(tinyPlan(bad.base), tinyPlan(bad.base), [7], [1, 2]),
    ).toMatchObject({
      state: "failed",
      message: expect.stringContaining("NaN"),
    });
  });
});

describe("beside live requests", () => {
  it("a comparison does not begin while a generation runs", async () => {
    const { engine, batches } = countingEngine({ stepMs: 5 });
    const { compare, generate } = setUp({ engine });
    const ended = generate(counted, 5);
    const before = batches.length;
    expect(await compare(counted, counted, [7], [8, 9])).toEqual({ state: "busy", reason: "live" });
    expect(batches.length).toBe(before);
    expect(await ended).toBe("length");
  });

  it("a comparison under way makes a generation wait for one step at most, and leaves nothing open", async () => {
    const { engine, batches, open } = countingEngine({ stepMs: 20 });
    const { compare, generate } = setUp({ engine });
    const comparing = compare(counted, counted, [7, 7, 7, 7, 7, 7, 7, 7, 7], [8, 9, 10]);
    await scheduler.wait(5);
    expect(batches.length).toBe(1);
    const ended = generate(counted, 5);
    expect(await comparing).toEqual({ state: "busy", reason: "live" });
    expect(await ended).toBe("length");
    await scheduler.wait(30);
    // One step of the comparison and the generation's own: its prompt and four tokens more, each alone.
    expect(batches.length).toBe(1 + 5);
    expect(batches.slice(1).every((batch) => batch.length === 1)).toBe(true);
    expect(open()).toBe(0);
  });

  it("gives way between two rows that it compares, too", async () => {
    const { engine, batches } = countingEngine({ maxChunk: 64 });
    let ended: Promise<string> | undefined;
    const { compare, generate } = setUp({
      engine: {
        ...engine,
        async step(batch, pace) {
          const rows = await engine.step(batch, pace);
          // Comes while the rows are compared.
          if (!ended) setTimeout(() => (ended = generate(counted, 1)), 0);
          return rows;
        },
      },
    });
    expect(await compare(counted, counted, [7], [8, 9, 10, 11])).toEqual({ state: "busy", reason: "live" });
    expect(await ended).toBe("length");
    expect(batches.length).toBe(2);
  });

  it("comparisons take no more than their share of what generations took", async () => {
    let done = 0;
    const tiny = makeTiny();
    const wasm = await createWasmEngine({ base: tiny.base, open: tiny.open, modules: { relaxed, plain } });
    const engine: Engine = {
      ...wasm,
      step: (batch, pace) =>
        wasm.step(batch, (multiplyAdds) => {
          done += multiplyAdds;
          return pace(multiplyAdds);
        }),
    };
    const plan = tinyPlan(tiny.base);
    const of = 1;
    const { compare, generate, share, earned } = setUp({ engine, credit: 0, share: of });
    const spent = vi.spyOn(share, "spend");
    const sum = (spy: { mock: { calls: [number][] } }) => spy.mock.calls.reduce((total, [n]) => total + n, 0);
    let compared = 0;
    let refused = 0;
    for (let i = 0; i < 30; i++) {
      await generate(plan, 3);
      await scheduler.wait(1);
      for (let again = 0; again < 2; again++) {
        const before = sum(spent);
        const told = await compare(plan, plan, [7, 7, 8], [1, 2]);
        if (told.state === "compared") compared++;
        if (told.state === "busy") {
          refused++;
          expect(told.reason).toBe("share");
          expect(sum(spent)).toBe(before);
        }
        expect(sum(spent)).toBeLessThanOrEqual(of * sum(earned));
      }
    }
    expect(compared).toBeGreaterThan(3);
    expect(refused).toBeGreaterThan(3);
    // What generations earned is the work that the engine did for them, and nothing of the comparisons'.
    expect(sum(earned)).toBeLessThan(done);
  });

  it("hands on what is the replica's fault", async () => {
    const { engine, open } = countingEngine();
    const { compare } = setUp({ engine });
    const stepping = vi.spyOn(engine, "step");
    stepping.mockRejectedValueOnce(new Error("broken"));
    await expect(compare(counted, counted, [7], [8])).rejects.toThrow("broken");
    stepping.mockRejectedValueOnce(new EngineError("out_of_memory", "full"));
    expect(await compare(counted, counted, [7], [8])).toMatchObject({ state: "failed", message: "full" });
    expect(open()).toBe(0);
  });
});

describe("the share", () => {
  it("is a number from 0, a tenth by default; 0 switches comparisons off", () => {
    const shareOf = (SHADOW_SHARE?: string) => replicaSettings({ SHADOW_SHARE }).shadowShare;
    expect([shareOf(undefined), shareOf("0"), shareOf("2.5")]).toEqual([0.1, 0, 2.5]);
    for (const text of ["-1", "ten", "Infinity"]) expect(() => shareOf(text)).toThrow("SHADOW_SHARE");
    const off = createWorkShare(0);
    off.earn(1e15);
    expect(off.covers(0)).toBe(false);
  });

  it("keeps a bounded credit: a busy day does not buy a night's work", () => {
    const share = createWorkShare(0.1);
    share.earn(1e18);
    expect(share.covers(4e12)).toBe(true);
    share.spend(4e12);
    expect(share.covers(1)).toBe(false);
  });
});
