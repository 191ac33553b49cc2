import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { createOnnxEngine } from "../../../src/engine/onnx/index.ts";
import type { Engine, LogitsWanted, Sequence } from "../../../src/engine/types.ts";
import type { Catalogue } from "../../../src/variants/catalogue.ts";
import type { Plan } from "../../../src/variants/plan.ts";
import { compileRuntime, openWeights, readCatalogue } from "./checkpoint.ts";

const caseSchema = z.object({
  prompt_ids: z.array(z.int()),
  token_nll: z.array(z.number()),
  top8_last: z.array(z.tuple([z.int(), z.number()])),
  greedy_ids: z.array(z.int()),
  greedy_margin: z.array(z.number()),
});
const slotSchema = z.object({ layer: z.int(), attn: z.boolean(), mlp: z.boolean() });
const vectorsSchema = z.record(z.string(), z.object({ slots: z.array(slotSchema), cases: z.array(caseSchema) }));
type Case = z.infer<typeof caseSchema>;

const vectors = vectorsSchema.parse(
  JSON.parse(await readFile(new URL("../../fixtures/reference/logit-vectors.json", import.meta.url), "utf8")),
);
const names = Object.keys(vectors);
const noPace = () => undefined;

let catalogue: Catalogue;
let module: WebAssembly.Module;

beforeAll(async () => {
  catalogue = await readCatalogue();
  module = await compileRuntime();
});

const planOf = (name: string): Plan => {
  const plan = catalogue.get(name === "baseline" ? "smollm2-135m" : `smollm2-135m-${name}`)?.plan;
  if (!plan) throw new Error(`no plan for ${name}`);
  return plan;
};

const load = (mode: "fp32" | "int8"): Promise<Engine> =>
  createOnnxEngine({ base: planOf("baseline").base, open: openWeights, mode, module });

/** Appends tokens in chunks and gives the logits of each row that was asked for. */
async function append(engine: Engine, sequence: Sequence, tokens: readonly number[], logits: LogitsWanted, chunk = 32) {
  const { vocab } = sequence.plan.base.config;
  const rows: Float32Array[] = [];
  for (let at = 0; at < tokens.length; at += chunk) {
    const [result] = await engine.step([{ sequence, tokens: tokens.slice(at, at + chunk), logits }], noPace);
    if (!result) throw new Error("no result");
    for (let row = 0; row < result.length; row += vocab) rows.push(result.slice(row, row + vocab));
  }
  return rows;
}

function logSumExp(logits: Float32Array): number {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  return largest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
}

const argmax = (logits: Float32Array): number => logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));

/** Negative log-likelihood of each prompt token but the first. */
const nlls = (rows: readonly Float32Array[], ids: readonly number[]): number[] =>
  ids.slice(1).map((id, i) => logSumExp(rows[i] as Float32Array) - (rows[i]?.[id] as number));

async function greedy(engine: Engine, sequence: Sequence, last: Float32Array, count: number): Promise<number[]> {
  const ids = [argmax(last)];
  while (ids.length < count) {
    const [logits] = await append(engine, sequence, ids.slice(-1), "last");
    ids.push(argmax(logits as Float32Array));
  }
  return ids;
}

/** Greedy ids up to the first step that is too close to call. */
const certain = ({ greedy_ids, greedy_margin }: Case): number[] => {
  const close = greedy_margin.findIndex((margin) => margin < 0.02);
  return close < 0 ? greedy_ids : greedy_ids.slice(0, close);
};

const maxDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

describe("the onnx engine in fp32", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await load("fp32");
  });

  it.each(names)("agrees with PyTorch on %s", async (name) => {
    const plan = planOf(name);
    expect(plan.slots.map(({ layer, attn, mlp }) => ({ layer, attn: !!attn, mlp: !!mlp }))).toEqual(
      vectors[name]?.slots,
    );
    for (const reference of vectors[name]?.cases ?? []) {
      const sequence = await engine.open(plan, 128);
      const rows = await append(engine, sequence, reference.prompt_ids, "all");
      const ours = nlls(rows, reference.prompt_ids);
      expect(ours).toHaveLength(reference.token_nll.length);
      for (const [i, expected] of reference.token_nll.entries()) {
        expect(Math.abs((ours[i] as number) - expected), `token ${i + 1}`).toBeLessThan(2e-3);
      }
      const last = rows.at(-1) as Float32Array;
      const total = logSumExp(last);
      for (const [id, logprob] of reference.top8_last) {
        expect(Math.abs((last[id] as number) - total - logprob), `log-probability of ${id}`).toBeLessThan(5e-3);
      }
      const ids = certain(reference);
      expect(await greedy(engine, sequence, last, ids.length)).toEqual(ids);
      sequence.close();
    }
  });

  it("gives a prompt the same logits in chunks of any size", async () => {
    const ids = vectors.baseline?.cases[0]?.prompt_ids.slice(0, 32) ?? [];
    const run = async (chunk: number) => {
      const sequence = await engine.open(planOf("baseline"), 64);
      const rows = await append(engine, sequence, ids, "all", chunk);
      sequence.close();
      return rows;
    };
    const whole = await run(32);
    for (const chunk of [1, 7]) {
      const rows = await run(chunk);
      for (const [i, row] of rows.entries()) expect(maxDifference(row, whole[i] as Float32Array)).toBeLessThan(1e-3);
    }
  });
});

describe("the onnx engine in int8", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await load("int8");
  });

  // Two of the six plans repeat and skip layers till their text is noise; what they make of any rounding says nothing of the engine.
  it.each(names.filter((name) => !name.startsWith("franken-")))("stays close to PyTorch's fp32 on %s", async (name) => {
    const differences: number[] = [];
    for (const { prompt_ids, token_nll } of vectors[name]?.cases ?? []) {
      const sequence = await engine.open(planOf(name), 64);
      const ours = nlls(await append(engine, sequence, prompt_ids, "all"), prompt_ids);
      differences.push(...token_nll.map((expected, i) => Math.abs((ours[i] as number) - expected)));
      sequence.close();
    }
    expect(mean(differences)).toBeLessThan(0.12);
  });

  it("begins the baseline's greedy text like PyTorch", async () => {
    const { prompt_ids = [], greedy_ids = [] } = vectors.baseline?.cases[0] ?? {};
    expect(greedy_ids.length).toBeGreaterThan(8);
    const sequence = await engine.open(planOf("baseline"), 64);
    const [last] = (await append(engine, sequence, prompt_ids, "last")).slice(-1);
    expect(await greedy(engine, sequence, last as Float32Array, 8)).toEqual(greedy_ids.slice(0, 8));
    sequence.close();
  });

  it("prefers the baseline's next token wherever PyTorch does so clearly", async () => {
    for (const { prompt_ids, greedy_ids, greedy_margin } of vectors.baseline?.cases ?? []) {
      const sequence = await engine.open(planOf("baseline"), 128);
      const ids = [...prompt_ids, ...greedy_ids.slice(0, -1)];
      const rows = (await append(engine, sequence, ids, "all")).slice(prompt_ids.length - 1);
      const clear = greedy_ids.flatMap((id, i) => ((greedy_margin[i] as number) > 0.5 ? [{ i, id }] : []));
      expect(clear.length).toBeGreaterThan(12);
      expect(clear.map(({ i }) => ({ i, id: argmax(rows[i] as Float32Array) }))).toEqual(clear);
      sequence.close();
    }
  });

  it("computes each sequence of a batch as if it were alone", async () => {
    const plans = [planOf("baseline"), planOf("attn-drop-10"), planOf("baseline")];
    const prompts = [vectors.baseline?.cases[0], vectors.baseline?.cases[1], vectors.baseline?.cases[1]].map(
      (reference, i) => reference?.prompt_ids.slice(0, 5 + 3 * i) ?? [],
    );
    const alone: Float32Array[] = [];
    for (const [i, plan] of plans.entries()) {
      const sequence = await engine.open(plan, 64);
      await append(engine, sequence, prompts[i] ?? [], "last");
      alone.push(...(await append(engine, sequence, [100 + i], "last")));
      sequence.close();
    }
    const sequences = await Promise.all(plans.map((plan) => engine.open(plan, 64)));
    await engine.step(
      sequences.map((sequence, i) => ({ sequence, tokens: prompts[i] ?? [], logits: "none" })),
      noPace,
    );
    const together = await engine.step(
      sequences.map((sequence, i) => ({ sequence, tokens: [100 + i], logits: "last" })),
      noPace,
    );
    expect(together.map((logits) => Buffer.from(logits.slice().buffer).toString("hex"))).toEqual(
      alone.map((logits) => Buffer.from(logits.slice().buffer).toString("hex")),
    );
    for (const sequence of sequences) sequence.close();
  });
});
