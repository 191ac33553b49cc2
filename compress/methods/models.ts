// The methods on a whole model: what each changes, layer by layer.

import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { LowRankLinear } from "../../formats/peft/write.ts";
import type { Slot } from "../../src/variants/index.ts";
import { type Kept as KeptLayers, type LayerResult, type Walked, walkLayers } from "../apply/walk.ts";
import type { ChangedTensor } from "../artifact.ts";
import { createForward, type Hidden, type Tokens } from "../forward/forward.ts";
import { readLayer } from "../forward/layer-weights.ts";
import type { MaskPattern } from "../prune/masks.ts";
import type { GptqOptions } from "../quantize/gptq.ts";
import { type EoraOptions, eoraLayer } from "./compensate.ts";
import { maskLayer } from "./mask.ts";
import { type NarrowOptions, narrowLayers } from "./narrow.ts";
import { gptqLayer, quantizeHead, roundLayer } from "./quantize.ts";

/** What a method works on. */
export interface Subject {
  readonly checkpoint: Checkpoint;
  readonly slots: readonly Slot[];
  readonly kept?: KeptLayers | undefined;
  readonly onLayer?: ((layer: number) => void) | undefined;
}

export interface Calibrated extends Subject {
  readonly tokens: Tokens;
}

export interface Changes {
  readonly tensors: readonly ChangedTensor[];
  readonly lowRank?: readonly LowRankLinear[] | undefined;
}

/** What of a model is quantized: the layers' linears, the output head (with it a tied embedding), or both. */
export type Part = "linears" | "head" | "both";
export interface QuantizeOptions extends GptqOptions {
  readonly part: Part;
}

const inOrder = (results: ReadonlyMap<number, LayerResult>): LayerResult[] =>
  [...results].sort(([a], [b]) => a - b).map(([, result]) => result);
const tensorsOf = ({ results }: Pick<Walked, "results">): ChangedTensor[] =>
  inOrder(results).flatMap(({ tensors }) => tensors);
export const layersOf = (slots: readonly Slot[]): number[] => [...new Set(slots.map(({ layer }) => layer))];

/** Calls `method` for each layer, where no calibration is needed. */
async function eachLayer(
  { checkpoint, slots, onLayer }: Subject,
  method: (layer: number, weights: Awaited<ReturnType<typeof readLayer>>) => LayerResult,
): Promise<Changes> {
  const results = new Map<number, LayerResult>();
  for (const layer of layersOf(slots)) {
    results.set(layer, method(layer, await readLayer(checkpoint, layer)));
    onLayer?.(layer);
  }
  return { tensors: tensorsOf({ results }) };
}

const headName = ({ tensors }: Checkpoint): string =>
  tensors.has("output.weight") ? "output.weight" : "token_embd.weight";

/** Round-to-nearest; no calibration. */
export async function roundModel(subject: Subject, { part, ...options }: QuantizeOptions): Promise<Changes> {
  const { checkpoint } = subject;
  const name = headName(checkpoint);
  const linears =
    part === "head" ? [] : (await eachLayer(subject, (layer, weights) => roundLayer(layer, weights, options))).tensors;
  const head = part === "linears" ? [] : [await quantizeHead(name, await checkpoint.read(name), undefined, options)];
  return { tensors: [...linears, ...head] };
}

/** GPTQ (arXiv 2210.17323): each layer's inputs come through the quantized layers before it, and the head's through all of them. */
export async function gptqModel(subject: Calibrated, { part, ...options }: QuantizeOptions): Promise<Changes> {
  const { checkpoint } = subject;
  const walked = await walkLayers({
    ...subject,
    gram: part !== "head",
    sequential: true,
    method: async (layer, weights, moments) =>
      part === "head" ? { tensors: [] } : gptqLayer(layer, weights, moments, options),
  });
  if (part === "linears") return { tensors: tensorsOf(walked) };
  const name = headName(checkpoint);
  const gram = await headGram(checkpoint, walked.hidden);
  return { tensors: [...tensorsOf(walked), await quantizeHead(name, await checkpoint.read(name), gram, options)] };
}

/** Sum of x x^T of what the head reads. */
async function headGram({ shape, read }: Checkpoint, hidden: Hidden): Promise<Float32Array | undefined> {
  const forward = createForward({ shape });
  try {
    return (await forward.headMoments(await read("output_norm.weight"), hidden)).gram;
  } finally {
    await forward.close();
  }
}

/** Masks by magnitude; no calibration. */
export const magnitudeModel = (subject: Subject, pattern: MaskPattern): Promise<Changes> =>
  eachLayer(subject, (layer, weights) => maskLayer(layer, weights, undefined, pattern));

/** Masks by Wanda (arXiv 2306.11695): each layer's inputs come through the pruned layers before it. */
export async function wandaModel(subject: Calibrated, pattern: MaskPattern): Promise<Changes> {
  const method = async (...[layer, weights, moments]: Parameters<Parameters<typeof walkLayers>[0]["method"]>) =>
    maskLayer(layer, weights, moments, pattern);
  return { tensors: tensorsOf(await walkLayers({ ...subject, gram: false, sequential: true, method })) };
}

/** Structured pruning by FLAP (arXiv 2312.11983), Wanda-sp or magnitude. */
export async function narrowModel(
  subject: Calibrated,
  options: NarrowOptions,
): Promise<Changes & { sparsity: number }> {
  const method = async (...[, , moments]: Parameters<Parameters<typeof walkLayers>[0]["method"]>) => ({
    tensors: [],
    moments,
  });
  const { results } = await walkLayers({ ...subject, gram: false, sequential: false, method });
  const moments = new Map(layersOf(subject.slots).map((layer) => [layer, results.get(layer)?.moments ?? new Map()]));
  const narrowed = await narrowLayers(subject.checkpoint, moments, options);
  return { tensors: tensorsOf(narrowed), sparsity: narrowed.sparsity };
}

/**
 * EoRA (arXiv 2410.21271) for what changed between a checkpoint and the subject's, by the inputs that the compressed model has.
 * @throws UserError where a linear is narrower than it was
 */
export async function eoraModel(subject: Calibrated, original: Checkpoint, options: EoraOptions): Promise<Changes> {
  const { results } = await walkLayers({
    ...subject,
    gram: true,
    sequential: false,
    method: async (layer, weights, moments) =>
      eoraLayer(layer, weights, await readLayer(original, layer), moments, options),
  });
  return { tensors: [], lowRank: inOrder(results).flatMap(({ lowRank }) => lowRank ?? []) };
}
