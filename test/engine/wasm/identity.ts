// What "the same bits" is held to: the logits of sequences alone, in batches of up to eight at different positions, and in chunks of any
// size.
import { createHash } from "node:crypto";
import type { Engine } from "../../../src/engine/types.ts";
import type { Plan } from "../../../src/variants/plan.ts";

export interface Run {
  readonly plan: Plan;
  readonly ids: readonly number[];
  /** Tokens of each step in turn, over and over. */
  readonly chunks: readonly number[];
}

/** Below, at and above the sizes at which kernels change their way: tiles of 4, the border of 12 to unpacked weights, the largest chunk. */
export const CHUNKS = [1, 3, 4, 5, 12, 13, 64];

/** The same run in one chunk after the other, as large as they may be. */
export const whole = ({ plan, ids }: Run): Run => ({ plan, ids, chunks: [64] });

/** Steps all runs together until each has had its tokens; gives a digest of the logits after each token, by run. */
export async function digests(engine: Engine, runs: readonly Run[]): Promise<string[][]> {
  const { vocab } = runs[0]!.plan.base.config;
  const all = await Promise.all(
    runs.map(async (run) => ({ ...run, sequence: await engine.open(run.plan, run.ids.length), rows: [] as string[] })),
  );
  for (let step = 0; all.some(({ ids, rows }) => rows.length < ids.length); step++) {
    const going = all.filter(({ ids, rows }) => rows.length < ids.length);
    const batch = going.map(({ sequence, ids, rows, chunks }) => ({
      sequence,
      tokens: ids.slice(rows.length, rows.length + chunks[step % chunks.length]!),
      logits: "all" as const,
    }));
    const outputs = await engine.step(batch, () => undefined);
    for (const [i, { rows }] of going.entries()) {
      const logits = outputs[i]!;
      for (let at = 0; at < logits.length; at += vocab) {
        const { buffer, byteOffset } = logits.subarray(at);
        rows.push(
          createHash("sha256")
            .update(new Uint8Array(buffer, byteOffset, vocab * 4))
            .digest("hex"),
        );
      }
    }
  }
  for (const { sequence } of all) sequence.close();
  return all.map(({ rows }) => rows);
}

/** Digests of each run by itself, in whole chunks. */
export async function alone(engine: Engine, runs: readonly Run[]): Promise<string[][]> {
  const rows: string[][] = [];
  for (const run of runs) rows.push(...(await digests(engine, [whole(run)])));
  return rows;
}
