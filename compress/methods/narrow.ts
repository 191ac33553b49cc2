// Makes layers narrower by FLAP, Wanda-sp or magnitude: whole KV groups with their query heads, and FFN channels.

import type { Checkpoint, LayerShape, Matrix } from "../../formats/checkpoint.ts";
import type { InputMoments, LayerResult } from "../apply/walk.ts";
import type { ChangedTensor } from "../artifact.ts";
import { readLayer } from "../forward/layer-weights.ts";
import type { Moments } from "../moments.ts";
import { baselineBias, groupIndices, pickColumns, pickStoredBlocks, pickStoredRows } from "../prune/narrow.ts";
import {
  chooseKept,
  columnScores,
  type Kept,
  type LayerUnits,
  type Ranking,
  type StructureScore,
} from "../prune/structure.ts";
import { toTensor } from "../quantize/containers.ts";
import { roundToNearest } from "../quantize/rtn.ts";

export interface NarrowOptions {
  readonly score: StructureScore;
  readonly ranking: Ranking;
  /** Share of the layers' weights that goes. */
  readonly sparsity: number;
  /** Whether KV groups may go, too. */
  readonly attention: boolean;
  /** Whether a bias makes up for the mean of what goes. */
  readonly bias: boolean;
}

/** As the base's linears are: what has to be rounded anew is rounded to this. */
const GRID = { bits: 4, kind: "asymmetric", block: 32 } as const;
/** Columns of a Q4_1 block, and its bytes. */
const [BLOCK, BLOCK_BYTES] = [32, 20];

/**
 * Changes of all layers together.
 * @param moments of each layer's inputs, of the model as it is
 * @returns by layer; `sparsity` is the share of the layers' weights that went
 */
export async function narrowLayers(
  checkpoint: Checkpoint,
  moments: ReadonlyMap<number, InputMoments>,
  options: NarrowOptions,
): Promise<{ readonly results: Map<number, LayerResult>; readonly sparsity: number }> {
  const { hidden, headDim, layers } = checkpoint.shape;
  const indices = [...moments.keys()];
  const units: LayerUnits[] = [];
  for (const index of indices) {
    const { attn, mlp } = await readLayer(checkpoint, index);
    const { heads, kvHeads, ffn } = layers[index] as LayerShape;
    const scores = (matrix: Matrix | undefined, known: Moments | undefined) =>
      matrix && known ? columnScores(matrix, known, options.score) : new Float64Array(0);
    const of = moments.get(index);
    units.push({
      groups: attn && of?.has("o") ? kvHeads : 0,
      groupUnit: kvHeads ? unitOf((heads / kvHeads) * headDim) : 1,
      ffn: mlp && of?.has("down") ? ffn : 0,
      // FLAP's reference ranks o's columns by their squared score (lib/prune.py).
      attnScores: scores(attn?.o, of?.get("o")).map((score) => (options.score === "flap" ? score * score : score)),
      ffnScores: scores(mlp?.down, of?.get("down")),
      groupWeights: kvHeads ? (2 * hidden * headDim * (heads + kvHeads)) / kvHeads : 0,
      channelWeights: 3 * hidden,
    });
  }
  const kept = chooseKept(units, options);
  const results = new Map<number, LayerResult>();
  for (const [i, index] of indices.entries()) {
    const of = moments.get(index) as InputMoments;
    results.set(index, {
      tensors: await narrowLayer(checkpoint, index, of, units[i] as LayerUnits, kept[i] as Kept, options.bias),
    });
  }
  const weights = (groups: number, channels: number, { groupWeights, channelWeights }: LayerUnits): number =>
    groups * groupWeights + channels * channelWeights;
  const total = (counts: (i: number) => number): number => units.reduce((sum, _, i) => sum + counts(i), 0);
  const before = total((i) => weights(units[i]?.groups ?? 0, units[i]?.ffn ?? 0, units[i] as LayerUnits));
  const after = total((i) =>
    weights(kept[i]?.groups.length ?? 0, kept[i]?.channels.length ?? 0, units[i] as LayerUnits),
  );
  return { results, sparsity: 1 - after / before };
}

/** The fewest groups whose columns of o, `width` each, fill blocks. */
function unitOf(width: number): number {
  let unit = 1;
  while ((unit * width) % BLOCK > 0) unit++;
  return unit;
}

async function narrowLayer(
  checkpoint: Checkpoint,
  layer: number,
  moments: InputMoments,
  { groups, ffn }: LayerUnits,
  kept: Kept,
  bias: boolean,
): Promise<ChangedTensor[]> {
  const tensors: ChangedTensor[] = [];
  const { attn, mlp } = await readLayer(checkpoint, layer);
  const name = (tensor: string, kind = "weight"): string => `blk.${layer}.${tensor}.${kind}`;
  const rows = async (tensor: string, indices: readonly number[]): Promise<void> => {
    tensors.push(await pickRows(checkpoint, name(tensor), indices));
  };
  const columns = async (
    tensor: string,
    matrix: Matrix,
    indices: readonly number[],
    known: Moments,
    before?: Matrix,
  ): Promise<void> => {
    tensors.push(await pickCols(checkpoint, name(tensor), matrix, indices));
    if (bias) tensors.push(baselineBias(name(tensor, "bias"), matrix, known, indices, before));
  };
  const [o, down] = [moments.get("o"), moments.get("down")];
  if (attn && o && kept.groups.length < groups) {
    const queries = groupIndices(kept.groups, attn.q.rows / groups);
    const keys = groupIndices(kept.groups, attn.k.rows / groups);
    await rows("attn_q", queries);
    await rows("attn_k", keys);
    await rows("attn_v", keys);
    await columns("attn_output", attn.o, queries, o, attn.bias);
  }
  if (mlp && down && kept.channels.length < ffn) {
    await rows("ffn_gate", kept.channels);
    await rows("ffn_up", kept.channels);
    await columns("ffn_down", mlp.down, kept.channels, down, mlp.bias);
  }
  return tensors;
}

/** Rows as they are stored, or, of a type that the engine does not multiply with, rounded. */
async function pickRows(checkpoint: Checkpoint, name: string, indices: readonly number[]): Promise<ChangedTensor> {
  const stored = checkpoint.tensors.get(name);
  if (stored?.type === "q4_1") {
    const data = pickStoredRows(await checkpoint.readStored(name), (stored.cols / BLOCK) * BLOCK_BYTES, indices);
    return { name, type: "q4_1", rows: indices.length, cols: stored.cols, data };
  }
  const { cols, values } = await checkpoint.read(name);
  const picked = new Float32Array(indices.length * cols);
  for (const [to, from] of indices.entries()) picked.set(values.subarray(from * cols, (from + 1) * cols), to * cols);
  return toTensor(name, roundToNearest({ rows: indices.length, cols, values: picked }, GRID), "q4_1");
}

/** Columns in whole blocks as they are stored; others are put into new blocks and rounded. */
async function pickCols(
  checkpoint: Checkpoint,
  name: string,
  matrix: Matrix,
  indices: readonly number[],
): Promise<ChangedTensor> {
  if (checkpoint.tensors.get(name)?.type === "q4_1") {
    const data = pickStoredBlocks(await checkpoint.readStored(name), matrix.cols, BLOCK_BYTES, indices);
    if (data) return { name, type: "q4_1", rows: matrix.rows, cols: indices.length, data };
  }
  return toTensor(name, roundToNearest(pickColumns(matrix, indices), GRID), "q4_1");
}
