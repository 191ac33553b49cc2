// One pass over the calibration tokens that measures what all criteria on hidden states need, a group of sequences at a time.
import { emptyHidden, type Forward, type Hidden, type Tokens } from "../forward/forward.ts";
import type { Model } from "../forward/model.ts";
import { cosineAt, rowCosines } from "./cosine.ts";
import type { Context } from "./criterion.ts";
import type { Part } from "./units.ts";
import type { WorkLog } from "./work.ts";

export interface StateMeans {
  /** Mean over tokens of the cosine similarity of what goes into a part and what comes out of it, by layer. */
  readonly cosine: Readonly<Record<Part, readonly number[]>>;
  /** `angular[n - 1][l]`: mean angular distance, 0 to 1, of the last token's states before layers l and l + n. */
  readonly angular: readonly (readonly number[])[];
}

/** The same as sums over a group of sequences. */
export type StateSums = StateMeans & { readonly sequences: number };

/** Few, so that little is held and little is lost when a run is cut off. */
const GROUP_TOKENS = 8192;

export interface StatesOptions {
  readonly forward: Forward;
  readonly model: Model;
  readonly tokens: Tokens;
  readonly log: WorkLog<StateSums>;
  readonly progress: Context["progress"];
  /** Tokens that go through the model together. Default: 8,192. */
  readonly groupTokens?: number | undefined;
}

export async function measureStates(options: StatesOptions): Promise<StateMeans> {
  const { forward, model, tokens, log, progress, groupTokens = GROUP_TOKENS } = options;
  const { sequences, length, ids } = tokens;
  const layers = model.shape.layers.length;
  const group = Math.max(1, Math.floor(groupTokens / length));
  const starts = Array.from({ length: Math.ceil(sequences / group) }, (_, i) => i * group);
  const missing = starts.filter((first) => !log.get(`${first}`));
  const { step, end } = progress(missing.length * layers);
  for (const first of missing) {
    const count = Math.min(group, sequences - first);
    const part = { sequences: count, length, ids: ids.subarray(first * length, (first + count) * length) };
    log.add(
      `${first}`,
      await sumStates(forward, model, part, () => step(() => `sequences ${first + count}/${sequences}`)),
    );
  }
  end();
  const sums = starts.map((first) => log.get(`${first}`) as StateSums);
  const total = (of: (sum: StateSums) => readonly number[]): number[] =>
    sums.map(of).reduce<number[]>((all, part) => part.map((value, i) => value + (all[i] ?? 0)), []);
  const mean = (part: Part) => total((sum) => sum.cosine[part]).map((value) => value / (sequences * length));
  return {
    cosine: { block: mean("block"), attention: mean("attention"), mlp: mean("mlp") },
    angular: (sums[0]?.angular ?? []).map((_, n) =>
      total((sum) => sum.angular[n] as number[]).map((value) => value / sequences),
    ),
  };
}

async function sumStates(forward: Forward, model: Model, tokens: Tokens, done: () => void): Promise<StateSums> {
  const { hidden, layers } = model.shape;
  const cosine: Record<Part, number[]> = { block: [], attention: [], mlp: [] };
  const similarity = (a: Hidden, b: Hidden): number => rowCosines(a, b).reduce((sum, value) => sum + value, 0);
  let x = forward.embed(await model.embedding(), tokens);
  let [middle, after] = [emptyHidden(x, hidden), emptyHidden(x, hidden)];
  const lasts = [lastTokens(x, hidden)];
  for (let index = 0; index < layers.length; index++) {
    const { attn, mlp } = await model.layer(index);
    await forward.layer({ attn, mlp: undefined }, x, { into: middle });
    await forward.layer({ attn: undefined, mlp }, middle, { into: after });
    cosine.attention.push(similarity(x, middle));
    cosine.mlp.push(similarity(middle, after));
    cosine.block.push(similarity(x, after));
    lasts.push(lastTokens(after, hidden));
    [x, after] = [after, x];
    done();
  }
  const angular = layers.map((_, n) =>
    layers.slice(n).map((_, first) => angularDistance(lasts[first]!, lasts[first + n + 1]!, hidden)),
  );
  return { sequences: tokens.sequences, cosine, angular };
}

/** `[sequences, hidden]` */
function lastTokens({ sequences, length, values }: Hidden, hidden: number): Float32Array {
  const rows = new Float32Array(sequences * hidden);
  for (let i = 0; i < sequences; i++) {
    const end = (i + 1) * length * hidden;
    rows.set(values.subarray(end - hidden, end), i * hidden);
  }
  return rows;
}

/** Sum over rows of the angle between them, as a share of a half turn. */
function angularDistance(a: Float32Array, b: Float32Array, hidden: number): number {
  let sum = 0;
  for (let from = 0; from < a.length; from += hidden) {
    sum += Math.acos(Math.min(1, Math.max(-1, cosineAt(a, b, from, hidden)))) / Math.PI;
  }
  return sum;
}
