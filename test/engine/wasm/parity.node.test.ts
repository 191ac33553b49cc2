// Holds the engine against PyTorch's fp32 results on the same weights.
import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { logSumExp } from "../../../src/engine/sampling/index.ts";
import { createWasmEngine, type WasmEngine } from "../../../src/engine/wasm/index.ts";
import type { BaseModel } from "../../../src/variants/base.ts";
import { compilePlan, type Plan } from "../../../src/variants/plan.ts";
import type { Slot } from "../../../src/variants/recipe.ts";
import { openBuilt, readCatalogue, readModules } from "./built.ts";

interface Case {
  prompt_ids: number[];
  token_nll: number[];
  greedy_ids: number[];
  greedy_margin: number[];
}
const vectors: Record<string, { slots: Slot[]; cases: Case[] }> = JSON.parse(
  await readFile(new URL("../../fixtures/reference/logit-vectors.json", import.meta.url), "utf8"),
);
const noPace = () => undefined;

let base: BaseModel;
let engine: WasmEngine;
beforeAll(async () => {
  const variant = (await readCatalogue()).get("smollm2-135m");
  if (!variant) throw new Error("smollm2-135m is not in the catalogue");
  base = variant.plan.base;
  engine = await createWasmEngine({ base, open: openBuilt, modules: await readModules() });
});

const planOf = (name: string): Plan =>
  compilePlan(
    {
      id: name,
      base: base.id,
      title: name,
      origin: { source: "logit-vectors.json", section: name },
      status: "research",
      slots: vectors[name]?.slots ?? [],
    },
    base,
  );

/** Negative log-likelihood of each token after the first. */
async function tokenNll(plan: Plan, ids: readonly number[]): Promise<number[]> {
  const sequence = await engine.open(plan, ids.length);
  const [logits = new Float32Array(0)] = await engine.step([{ sequence, tokens: ids, logits: "all" }], noPace);
  sequence.close();
  return ids.slice(1).map((id, i) => {
    const row = logits.subarray(i * base.config.vocab, (i + 1) * base.config.vocab);
    return logSumExp(row) - (row[id] as number);
  });
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe.each(Object.keys(vectors))("%s", (name) => {
  const cases = vectors[name]?.cases ?? [];
  it.each([...cases.keys()])("case %i: every token's likelihood is near the reference", async (index) => {
    const { prompt_ids, token_nll } = cases[index] as Case;
    const nll = await tokenNll(planOf(name), prompt_ids);
    const differences = nll.map((value, i) => Math.abs(value - (token_nll[i] as number)));
    expect(mean(differences)).toBeLessThan(0.05);
  });

  it.each([...cases.keys()])("case %i: greedy tokens are the reference's while its margin is clear", async (index) => {
    const { prompt_ids, greedy_ids, greedy_margin } = cases[index] as Case;
    const sequence = await engine.open(planOf(name), prompt_ids.length + greedy_ids.length);
    let tokens = prompt_ids;
    let compared = 0;
    for (const [i, id] of greedy_ids.entries()) {
      const [logits = new Float32Array(0)] = await engine.step([{ sequence, tokens, logits: "last" }], noPace);
      if ((greedy_margin[i] as number) >= 0.5) {
        expect(engine.topLogits(logits, 1)[0]?.id).toBe(id);
        compared++;
      }
      tokens = [id];
    }
    sequence.close();
    expect(compared).toBeGreaterThan(0);
  });
});
