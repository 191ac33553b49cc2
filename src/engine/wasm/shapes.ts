// Sizes that follow from a base model: what the kernels need of its shapes, and how much memory a token takes where.
import type { ModelConfig } from "../../variants/base.ts";
import { EngineError } from "../types.ts";

/** Tokens in a page of the KV cache (`PAGE_TOKENS` in assembly/attention.ts). */
export const PAGE_TOKENS = 32;

export interface Shapes extends ModelConfig {
  readonly eps: number;
  /** Query and KV width: heads times head dimension. */
  readonly qWidth: number;
  readonly kvWidth: number;
  /** Query heads that share a KV head. */
  readonly group: number;
  /** Bytes of a page: 32 tokens of one KV head, 8 bits a value and a bf16 scale for K and V each. */
  readonly pageBytes: number;
}

/** @throws EngineError `bad_plan` when the kernels cannot take the shapes */
export function shapesOf(config: ModelConfig): Shapes {
  const { hidden, heads, kvHeads, headDim, ffn } = config;
  const need = (holds: boolean, what: string): void => {
    if (!holds) throw new EngineError("bad_plan", `the wasm engine needs ${what}`);
  };
  need(hidden % 32 === 0 && ffn % 32 === 0, `hidden size and FFN width in multiples of 32, not ${hidden} and ${ffn}`);
  need(headDim % 8 === 0 && headDim <= 256, `a head dimension that is a multiple of 8 up to 256, not ${headDim}`);
  need(heads % kvHeads === 0, `query heads in equal groups, not ${heads} over ${kvHeads} KV heads`);
  need((heads * headDim) % 32 === 0, `query heads that fill blocks of 32, not ${heads} of ${headDim}`);
  need((kvHeads * headDim) % 8 === 0, `KV heads that fill rows of 8, not ${kvHeads} of ${headDim}`);
  return {
    ...config,
    eps: config.rmsEps,
    qWidth: heads * headDim,
    kvWidth: kvHeads * headDim,
    group: heads / kvHeads,
    pageBytes: PAGE_TOKENS * (2 * headDim + 4),
  };
}

/** Bytes of a row of activations in an 8-bit panel (assembly/panel.ts): values, and a scale and a sum per block of 32. */
export const panel8Bytes = (cols: number): number => (cols / 32) * 40;
/** Bytes of a row of activations in a 16-bit panel: values, and a scale per block of 32. */
export const panel16Bytes = (cols: number): number => (cols / 32) * 68;
