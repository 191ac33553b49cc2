// Runs a plan's slots over one sequence's tokens. The KV cache lies in JavaScript: a step writes the new rows, then hands the graphs
// one view of all rows, so no step copies the cache to make it longer.
import type { Plan } from "../../variants/index.ts";
import { rotations } from "../rope.ts";
import { EngineError, type LogitsWanted, type Pace } from "../types.ts";
import { createKvCache, type KvCache } from "./kv.ts";
import type { Model } from "./model.ts";
import type { Ort, Tensor } from "./runtime.ts";

/** What the engine asks of a sequence, whichever way its plan runs. */
export interface Decoder {
  /** Bytes of KV cache held now. */
  readonly kvBytes: number;
  /**
   * Runs tokens that stand at `position` and on. Rows written there before are overwritten, so a failed run leaves nothing behind.
   * @returns logits `[rows, vocab]`
   */
  run(tokens: readonly number[], position: number, logits: LogitsWanted, pace: Pace): Promise<Float32Array>;
  close(): void;
}

export interface PlanDecoderOptions {
  readonly ort: Ort;
  readonly model: Model;
  readonly plan: Plan;
  readonly capacity: number;
}

export function createPlanDecoder({ ort, model, plan, capacity }: PlanDecoderOptions): Decoder {
  const { config } = plan.base;
  const { hidden, headDim, vocab } = config;
  let caches: KvCache[] = plan.slots.flatMap(({ attn }) => (attn ? [createKvCache(attn.k.rows, capacity)] : []));
  const tensor = (data: Float32Array, ...dims: number[]): Tensor => new ort.Tensor("float32", data, dims);
  const done = async (pace: Pace, multiplyAdds: number): Promise<void> => {
    const turn = pace(multiplyAdds);
    if (turn) await turn;
  };

  async function layers(tokens: readonly number[], position: number, pace: Pace): Promise<Tensor> {
    // A sequence may be closed while its step waits for a turn; the step then ends on the caches it began with.
    const held = caches;
    const rows = tokens.length;
    const length = position + rows;
    const { cos, sin } = rotations(config, position, rows);
    const rope = { cos: tensor(cos, rows, headDim / 2), sin: tensor(sin, rows, headDim / 2) };
    const masks = new Map<number, Tensor>();
    let x = tensor(model.embedding.lookUp(tokens), rows, hidden);
    for (const { layer, attn, mlp } of plan.slots) {
      const sublayers = model.layers[layer];
      const cache = attn && held[attn.kv];
      if (!sublayers || (attn && !cache))
        throw new EngineError("bad_plan", `${plan.id} names a layer that is not there`);
      if (cache) {
        const { qkv, attention, heads, kvHeads } = sublayers;
        const group = heads / kvHeads;
        const mask = masks.get(group) ?? causalMask(tensor, rows, group, position);
        masks.set(group, mask);
        const { q, k, v } = await qkv.session.run({ x, ...rope });
        await done(pace, qkv.multiplyAdds * rows);
        cache.write(position, k?.data as Float32Array, v?.data as Float32Array);
        const all = cache.view(length);
        const past = [length, kvHeads, headDim];
        const { y } = await attention.session.run({
          x,
          q: tensor(q?.data as Float32Array, kvHeads, rows * group, headDim),
          k: tensor(all.k, ...past),
          v: tensor(all.v, ...past),
          mask,
        });
        x = y as Tensor;
        await done(pace, (attention.multiplyAdds + 2 * length * heads * headDim) * rows);
      }
      if (mlp) {
        const { y } = await sublayers.mlp.session.run({ x });
        x = y as Tensor;
        await done(pace, sublayers.mlp.multiplyAdds * rows);
      }
    }
    return x;
  }

  async function logitsOf(x: Tensor, rows: number, pace: Pace): Promise<Float32Array> {
    const logits = new Float32Array(rows * vocab);
    for (const { session, multiplyAdds, first, blocks, outer } of model.head) {
      const { y } = await session.run({ x });
      const data = y?.data as Float32Array;
      for (let block = 0; block < blocks; block++) {
        for (let row = 0; row < rows; row++) {
          const from = (block * rows + row) * outer;
          logits.set(data.subarray(from, from + outer), row * vocab + first + block * outer);
        }
      }
      await done(pace, multiplyAdds * rows);
    }
    return logits;
  }

  return {
    get kvBytes() {
      return caches.reduce((sum, cache) => sum + cache.bytes, 0);
    },
    async run(tokens, position, logits, pace) {
      const x = await layers(tokens, position, pace);
      if (logits === "none") return new Float32Array(0);
      if (logits === "all") return logitsOf(x, tokens.length, pace);
      const last = (x.data as Float32Array).subarray((tokens.length - 1) * hidden);
      return logitsOf(tensor(last, 1, hidden), 1, pace);
    },
    close() {
      caches = [];
    },
  };
}

/** Minus infinity where a row would look ahead, `[rows * group, position + rows]`; one row sees all and needs no more than a 0. */
function causalMask(
  tensor: (data: Float32Array, ...dims: number[]) => Tensor,
  rows: number,
  group: number,
  position: number,
): Tensor {
  if (rows === 1) return tensor(new Float32Array(1), 1, 1);
  const length = position + rows;
  const mask = new Float32Array(rows * group * length);
  for (let query = 0; query < rows * group; query++) {
    const seen = position + Math.floor(query / group) + 1;
    mask.fill(Number.NEGATIVE_INFINITY, query * length + seen, (query + 1) * length);
  }
  return tensor(mask, rows * group, length);
}
