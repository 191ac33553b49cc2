// Which FFN channels and KV groups stay: scores by FLAP (An et al., arXiv 2312.11983), by that paper's Wanda-sp or by magnitude, ranked
// within each layer or over all layers.
import type { Matrix } from "../../formats/checkpoint.ts";
import type { Moments } from "../moments.ts";

export type StructureScore = "flap" | "wanda-sp" | "magnitude";
export type Ranking = "global" | "layer";

/** What pruning needs to know of a layer. A layer without attention has 0 groups, one without an MLP a width of 0. */
export interface LayerUnits {
  readonly groups: number;
  readonly ffn: number;
  /** Groups stay in multiples of this, so that the columns of o that stay fill blocks. */
  readonly groupUnit: number;
  /** Scores `[heads * headDim]` of the columns of o, `[ffn]` of those of down. */
  readonly attnScores: Float64Array;
  readonly ffnScores: Float64Array;
  /** Weights that go with a KV group, and with an FFN channel. */
  readonly groupWeights: number;
  readonly channelWeights: number;
}

/** Indices that stay, ascending. */
export interface Kept {
  readonly groups: readonly number[];
  readonly channels: readonly number[];
}

/** FFN widths are multiples of this. */
const UNIT = 32;

/**
 * Scores of the columns of o or down.
 * - flap: variance of the input times the squared norm of the column ("WIFV" in its code, lib/prune.py)
 * - wanda-sp: sum of |W| times the norm of the input
 * - magnitude: squared norm of the column
 */
export function columnScores({ rows, cols, values }: Matrix, moments: Moments, kind: StructureScore): Float64Array {
  const scores = new Float64Array(cols);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const weight = values[row * cols + col] as number;
      (scores[col] as number) += kind === "wanda-sp" ? Math.abs(weight) : weight * weight;
    }
  }
  const { tokens, sum, squares } = moments;
  return scores.map((score, col) => {
    const square = (squares[col] as number) / tokens;
    if (kind === "flap") return score * Math.max(0, square - ((sum[col] as number) / tokens) ** 2);
    return kind === "wanda-sp" ? score * Math.sqrt(square) : score;
  });
}

/**
 * @param sparsity share of the layers' weights that should go; with groups whole and both in multiples of their units it is met as nearly as they allow
 * @param attention whether KV groups may go, too
 */
export function chooseKept(
  layers: readonly LayerUnits[],
  { sparsity, ranking, attention }: { sparsity: number; ranking: Ranking; attention: boolean },
): Kept[] {
  return ranking === "global"
    ? overAll(layers, sparsity, attention)
    : layers.map((layer) => within(layer, sparsity, attention));
}

/** Scores are standardized in each layer and sublayer, then ranked together; a group counts with its mean. ("AL-AM" in FLAP's lib/prune.py) */
function overAll(layers: readonly LayerUnits[], sparsity: number, attention: boolean): Kept[] {
  const units = layers.flatMap((layer, index) => [
    ...(attention ? groupScores(layer) : []).map((score, at) => ({
      index,
      at,
      score,
      group: true,
      weights: layer.groupWeights,
    })),
    ...Array.from(standardized(layer.ffnScores), (score, at) => ({
      index,
      at,
      score,
      group: false,
      weights: layer.channelWeights,
    })),
  ]);
  units.sort((a, b) => a.score - b.score || a.index - b.index || a.at - b.at);
  let left = sparsity * totalWeights(layers);
  const gone = layers.map(() => ({ groups: 0, channels: 0 }));
  for (const { index, group, weights } of units) {
    if (left < weights / 2) break;
    const layer = gone[index] as (typeof gone)[number];
    const { groups, ffn, groupUnit } = layers[index] as LayerUnits;
    // A layer keeps at least a unit of groups and 32 channels: what drops whole sublayers is depth pruning.
    if (group ? layer.groups + groupUnit >= groups : layer.channels + UNIT >= ffn) continue;
    layer[group ? "groups" : "channels"]++;
    left -= weights;
  }
  return layers.map((layer, index) => {
    const { groups, channels } = gone[index] as (typeof gone)[number];
    return {
      groups: bestGroups(layer, layer.groups - groups),
      channels: bestChannels(layer, layer.ffn - channels),
    };
  });
}

function within(layer: LayerUnits, sparsity: number, attention: boolean): Kept {
  const groups = bestGroups(layer, layer.groups - (attention ? Math.round(sparsity * layer.groups) : 0));
  const wanted = sparsity * totalWeights([layer]) - (layer.groups - groups.length) * layer.groupWeights;
  const channels = layer.ffn - Math.max(0, wanted) / (layer.channelWeights || 1);
  return { groups, channels: bestChannels(layer, channels) };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const totalWeights = (layers: readonly LayerUnits[]): number =>
  layers.reduce(
    (sum, { groups, groupWeights, ffn, channelWeights }) => sum + groups * groupWeights + ffn * channelWeights,
    0,
  );
const roundTo = (unit: number, count: number, most: number): number =>
  Math.min(most, Math.max(unit, Math.round(count / unit) * unit));
const bestGroups = (layer: LayerUnits, count: number): number[] =>
  best(groupScores(layer), roundTo(layer.groupUnit, count, layer.groups));
const bestChannels = ({ ffn, ffnScores }: LayerUnits, count: number): number[] =>
  best(ffnScores, roundTo(UNIT, count, ffn));

/** The `count` indices of highest score, ascending. */
function best(scores: ArrayLike<number>, count: number): number[] {
  const order = range(scores.length).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  return order.slice(0, count).sort((a, b) => a - b);
}

/** Mean over a group's columns of o. */
function groupScores({ groups, attnScores }: LayerUnits): number[] {
  const scores = standardized(attnScores);
  const width = scores.length / groups;
  return range(groups).map((group) => mean(scores.subarray(group * width, (group + 1) * width)));
}

function standardized(scores: Float64Array): Float64Array {
  const center = mean(scores);
  const deviation = Math.sqrt(mean(scores.map((score) => (score - center) ** 2)));
  return scores.map((score) => (deviation > 0 ? (score - center) / deviation : 0));
}

const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / (values.length || 1);
