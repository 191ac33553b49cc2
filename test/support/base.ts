// A tiny base model for tests that are about something else than the real weights: its shapes are right, its numbers are not needed.
import type { BaseModel, ModelConfig, Tensor } from "../../src/variants/base.ts";
import { type SlotRecipe, slotRecipeSchema } from "../../src/variants/recipe.ts";

export const tinyConfig: ModelConfig = {
  layers: 3,
  hidden: 64,
  heads: 2,
  kvHeads: 1,
  headDim: 32,
  ffn: 96,
  vocab: 128,
  contextLength: 64,
  ropeTheta: 10_000,
  rmsEps: 1e-5,
  bosTokenId: 1,
  eosTokenIds: [2],
};

/** A base without bytes: its tensors have names and shapes. */
export function tinyBase(config: ModelConfig = tinyConfig): BaseModel {
  let end = 0;
  const tensor = (name: string, rows: number, cols: number): Tensor => {
    const bytes = rows * cols * 4;
    const offset = end;
    end += Math.ceil(bytes / 64) * 64;
    return { name, digest: name, type: "f32", rows, cols, offset, bytes };
  };
  const { hidden, heads, kvHeads, headDim, ffn, vocab } = config;
  const tensors = [
    tensor("token_embd.weight", vocab, hidden),
    tensor("output_norm.weight", 1, hidden),
    ...Array.from({ length: config.layers }, (_, layer) => [
      tensor(`blk.${layer}.attn_norm.weight`, 1, hidden),
      tensor(`blk.${layer}.attn_q.weight`, heads * headDim, hidden),
      tensor(`blk.${layer}.attn_k.weight`, kvHeads * headDim, hidden),
      tensor(`blk.${layer}.attn_v.weight`, kvHeads * headDim, hidden),
      tensor(`blk.${layer}.attn_output.weight`, hidden, heads * headDim),
      tensor(`blk.${layer}.ffn_norm.weight`, 1, hidden),
      tensor(`blk.${layer}.ffn_gate.weight`, ffn, hidden),
      tensor(`blk.${layer}.ffn_up.weight`, ffn, hidden),
      tensor(`blk.${layer}.ffn_down.weight`, hidden, ffn),
    ]).flat(),
  ];
  const file = { file: "none", sha256: "none", bytes: 1 };
  return {
    id: "tiny",
    digest: "tiny-digest",
    created: 0,
    origin: "made by a test",
    license: "none",
    config,
    tensors,
    imageBytes: end,
    parts: [file],
    vocabulary: file,
  };
}

/** A recipe over the tiny base. */
export function tinyRecipe(slots: object[] = [{ layer: 0 }, { layer: 1 }, { layer: 2 }], id = "tiny"): SlotRecipe {
  return slotRecipeSchema.parse({
    id,
    base: "tiny",
    title: "Tiny",
    origin: { source: "a test", section: "none" },
    status: "research",
    slots,
  });
}
