// How likely a model finds tokens when it runs some of its sublayers, in some order: perplexity under a recipe's slots.
import type { Slot } from "../../src/variants/index.ts";
import type { Forward, Hidden, Tokens } from "./forward.ts";
import type { Model } from "./model.ts";

/** Runs slots over hidden states, in place. */
export async function runSlots(forward: Forward, model: Model, slots: readonly Slot[], x: Hidden): Promise<Hidden> {
  for (const { layer, attn, mlp } of slots) {
    const weights = await model.layer(layer);
    const wanted = { attn: attn ? weights.attn : undefined, mlp: mlp ? weights.mlp : undefined };
    await forward.layer(wanted, x, { into: x });
  }
  return x;
}

/** Negative log-likelihoods (natural log) of each sequence's tokens from the second on, `[sequences, length - 1]`. */
export async function tokenNll(
  forward: Forward,
  model: Model,
  slots: readonly Slot[],
  tokens: Tokens,
): Promise<Float32Array> {
  const x = await runSlots(forward, model, slots, forward.embed(await model.embedding(), tokens));
  return forward.nll(await model.head(), x, tokens);
}

/** exp of the mean. */
export const perplexityOf = (nll: Float32Array): number =>
  Math.exp(nll.reduce((sum, value) => sum + value, 0) / nll.length);

/** Every layer once, as the checkpoint has them. */
export const allSlots = ({ shape }: Pick<Model, "shape">): Slot[] =>
  shape.layers.map((_, layer) => ({ layer, attn: true, mlp: true }));
