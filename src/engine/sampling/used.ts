// Which tokens of a vocabulary may be drawn at all: those that fill it up have logits, too, which no training has put down.
import type { ModelConfig } from "../../variants/index.ts";

const masks = new WeakMap<object, Int32Array>();

/** As the sampler takes it; undefined where every token stands for something. */
export function usedTokens({ vocab, unused }: Pick<ModelConfig, "vocab" | "unused">): Int32Array | undefined {
  if (!unused) return undefined;
  let mask = masks.get(unused);
  if (mask) return mask;
  mask = new Int32Array(Math.ceil(vocab / 32)).fill(-1);
  for (const [from, end] of unused) {
    for (let id = from; id < end; id++) mask[id >> 5] = (mask[id >> 5] as number) & ~(1 << (id & 31));
  }
  masks.set(unused, mask);
  return mask;
}
