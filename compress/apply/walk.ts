// Walks a model's layers in the order of a recipe's slots, with calibration text going through: each layer's method sees the moments of its
// inputs, and what the layer becomes is what the next ones' inputs come from.

import type { Checkpoint } from "../../formats/checkpoint.ts";
import type { LowRankLinear } from "../../formats/peft/write.ts";
import type { Slot } from "../../src/variants/index.ts";
import type { ChangedTensor } from "../artifact.ts";
import { createForward, emptyHidden, type Hidden, type Tokens } from "../forward/forward.ts";
import { type LayerWeights, readLayer } from "../forward/layer-weights.ts";
import { createMomentSums } from "../forward/moments.ts";
import type { Input, Moments } from "../moments.ts";
import { replaced } from "./linears.ts";

export type InputMoments = ReadonlyMap<Input, Moments>;

/** What a method makes of a layer. */
export interface LayerResult {
  readonly tensors: readonly ChangedTensor[];
  readonly lowRank?: readonly LowRankLinear[] | undefined;
  /** Moments that a later step wants. */
  readonly moments?: InputMoments | undefined;
}

/** Keeps finished layers, so that a run that was cut off goes on where it was. */
export interface Kept {
  get(layer: number): Promise<LayerResult | undefined>;
  put(layer: number, result: LayerResult): Promise<void>;
}

export interface Walk {
  readonly checkpoint: Checkpoint;
  readonly slots: readonly Slot[];
  readonly tokens: Tokens;
  /** Whether the method needs sums of x x^T. */
  readonly gram: boolean;
  /** Whether inputs come from layers as they were changed (GPTQ and Wanda), or as they were (FLAP and EoRA), which takes one pass less. */
  readonly sequential: boolean;
  readonly method: (layer: number, weights: LayerWeights, moments: InputMoments) => Promise<LayerResult>;
  readonly kept?: Kept | undefined;
  readonly onLayer?: ((layer: number) => void) | undefined;
}

export interface Walked {
  readonly results: ReadonlyMap<number, LayerResult>;
  /** Hidden states after the last slot. */
  readonly hidden: Hidden;
}

/** A layer that runs several times is changed where it runs first. */
export async function walkLayers(walk: Walk): Promise<Walked> {
  const { checkpoint, slots, tokens, gram, sequential, method, kept } = walk;
  const forward = createForward({ shape: checkpoint.shape });
  const results = new Map<number, LayerResult>();
  try {
    const x = forward.embed(await checkpoint.read("token_embd.weight"), tokens);
    const aside = sequential ? emptyHidden(x, checkpoint.shape.hidden) : x;
    for (const { layer, attn, mlp } of slots) {
      const whole = await readLayer(checkpoint, layer);
      const weights = { attn: attn ? whole.attn : undefined, mlp: mlp ? whole.mlp : undefined };
      const known = results.get(layer) ?? (await kept?.get(layer));
      const observed = async () => {
        const sums = createMomentSums<Input>({ gram });
        await forward.layer(weights, x, { into: aside, sums });
        return sums.moments();
      };
      const result = known ?? (await method(layer, weights, await observed()));
      if (!known) await kept?.put(layer, result);
      results.set(layer, result);
      if (sequential) await forward.layer(replaced(weights, layer, result.tensors), x, { into: x });
      else if (known) await forward.layer(weights, x, { into: x });
      walk.onLayer?.(layer);
    }
    return { results, hidden: x };
  } finally {
    await forward.close();
  }
}
