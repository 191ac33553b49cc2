// Generates on one of our engines as a replica does, for the benchmark's Worker and its Node child.

import type { Engine, Pace, StepInput } from "../../src/engine/index.ts";
import { createSampler } from "../../src/engine/sampling/index.ts";
import type { Plan } from "../../src/variants/index.ts";

/** Memory for the WebAssembly engine: beyond a deployed isolate's, so that one sequence of 4,096 tokens of the base fits beside it. */
export const CEILING_BYTES = 256 * 2 ** 20;

export interface EngineRun {
  readonly engine: Engine;
  readonly plan: Plan;
  /** Token ids, by sequence. */
  readonly prompts: readonly (readonly number[])[];
  /** Tokens to generate for each sequence. */
  readonly count: number;
  readonly pace: Pace;
  /** Called with the index of the sequence that has a new token; a promise is awaited. */
  readonly onToken: (sequence: number) => Promise<void> | void;
}

/** Prefills one prompt after another, then decodes all sequences in one batch. */
export async function runEngine({ engine, plan, prompts, count, pace, onToken }: EngineRun): Promise<void> {
  const sampler = createSampler({ temperature: 0, seed: 0 });
  const sequences = await Promise.all(prompts.map((ids) => engine.open(plan, ids.length + count)));
  try {
    const next: number[] = [];
    const take = async (index: number, logits: Float32Array | undefined): Promise<void> => {
      if (!logits) throw new Error("the engine gave no logits");
      next[index] = sampler.next(logits, sequences[index]!.length).id;
      await onToken(index);
    };
    for (const [index, ids] of prompts.entries()) {
      for (let at = 0; at < ids.length; at += engine.maxChunk) {
        const tokens = ids.slice(at, at + engine.maxChunk);
        const last = at + tokens.length === ids.length;
        const [logits] = await engine.step(
          [{ sequence: sequences[index]!, tokens, logits: last ? "last" : "none" }],
          pace,
        );
        if (last) await take(index, logits);
      }
    }
    for (let made = 1; made < count; made++) {
      const batch = sequences.map((sequence, i): StepInput => ({ sequence, tokens: [next[i]!], logits: "last" }));
      const outputs = await engine.step(batch, pace);
      for (const [index, logits] of outputs.entries()) await take(index, logits);
    }
  } finally {
    for (const sequence of sequences) sequence.close();
  }
}
