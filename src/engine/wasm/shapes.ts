// Sizes that follow from a base model: what the kernels need of its shapes, and how much memory a token takes where.
import type { ModelConfig, PlanSlot } from "../../variants/index.ts";
import { EngineError } from "../types.ts";

/** Tokens in a page of the KV cache (`PAGE_TOKENS` in assembly/kv.ts). */
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

/** What a base's shapes would have to be, and are not, in words; undefined when the kernels can take them. */
export function shapesNeeded({
  hidden,
  heads,
  kvHeads,
  headDim,
  ffn,
}: Pick<ModelConfig, "hidden" | "heads" | "kvHeads" | "headDim" | "ffn">): string | undefined {
  const needs: [holds: boolean, what: string][] = [
    [hidden % 32 === 0 && ffn % 32 === 0, `hidden size and FFN width in multiples of 32, not ${hidden} and ${ffn}`],
    [headDim % 8 === 0 && headDim <= 256, `a head dimension that is a multiple of 8 up to 256, not ${headDim}`],
    [heads % kvHeads === 0, `query heads in equal groups, not ${heads} over ${kvHeads} KV heads`],
    [(heads * headDim) % 32 === 0, `query heads that fill blocks of 32, not ${heads} of ${headDim}`],
    [(kvHeads * headDim) % 8 === 0, `KV heads that fill rows of 8, not ${kvHeads} of ${headDim}`],
  ];
  return needs.find(([holds]) => !holds)?.[1];
}

/** @throws EngineError `bad_plan` when the kernels cannot take the shapes */
export function shapesOf(config: ModelConfig): Shapes {
  const { heads, kvHeads, headDim } = config;
  const needed = shapesNeeded(config);
  if (needed) throw new EngineError("bad_plan", `the wasm engine needs ${needed}`);
  return {
    ...config,
    eps: config.rmsEps,
    qWidth: heads * headDim,
    kvWidth: kvHeads * headDim,
    group: heads / kvHeads,
    pageBytes: PAGE_TOKENS * (2 * headDim + 4),
  };
}

/**
 * What a slot has that the kernels cannot take, or that has no room between products, in words; undefined when all is well. A slot may be
 * narrower than the base, never wider.
 */
export function slotProblem({ attn, mlp }: PlanSlot, shapes: Shapes): string | undefined {
  const { hidden, headDim, qWidth, kvWidth, group, ffn } = shapes;
  const fits = (rows: number, unit: number, most: number): boolean => rows % unit === 0 && rows <= most;
  const problems: [wrong: boolean, what: string][] = [];
  if (attn) {
    const { q, k, v, o } = attn;
    problems.push(
      [
        !fits(q.rows, headDim, qWidth) || q.rows % 32 > 0,
        `${q.rows} query rows, of heads of ${headDim}, at most ${qWidth}`,
      ],
      [
        !fits(k.rows, headDim, kvWidth) || k.rows % 8 > 0,
        `${k.rows} key rows, of heads of ${headDim}, at most ${kvWidth}`,
      ],
      [v.rows !== k.rows, `${v.rows} value rows for ${k.rows} key rows`],
      [
        !fits(q.rows / k.rows, 1, group),
        `${q.rows} query rows for ${k.rows} key rows, in groups of at most ${group} heads`,
      ],
      [o.cols !== q.rows, `${o.cols} output columns for ${q.rows} query rows`],
      [
        [q, k, v].some(({ cols }) => cols !== hidden) || o.rows !== hidden,
        `attention that is not of hidden size ${hidden}`,
      ],
    );
  }
  if (mlp) {
    const { gate, up, down } = mlp;
    problems.push(
      [!fits(gate.rows, 32, ffn), `an FFN width of ${gate.rows}, which must be a multiple of 32 and at most ${ffn}`],
      [up.rows !== gate.rows || down.cols !== gate.rows, `an FFN of ${gate.rows}, ${up.rows} and ${down.cols}`],
      [
        gate.cols !== hidden || up.cols !== hidden || down.rows !== hidden,
        `an MLP that is not of hidden size ${hidden}`,
      ],
    );
  }
  return problems.find(([wrong]) => wrong)?.[1];
}

/** Bytes of a row of activations in an 8-bit panel (assembly/panel.ts): values, and a scale and a sum per block of 32. */
export const panel8Bytes = (cols: number): number => (cols / 32) * 40;
/** Bytes of a row of activations in a 16-bit panel: values, and a scale per block of 32. */
export const panel16Bytes = (cols: number): number => (cols / 32) * 68;
