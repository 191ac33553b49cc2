// An engine that computes nothing, for tests of what runs generations on an engine.

import { type Engine, EngineError, type Sequence, type StepInput } from "../../src/engine/types.ts";
import type { Plan } from "../../src/variants/plan.ts";

/**
 * An engine whose next token is the number of tokens so far, and that records its batches. A target's log-probability is minus its
 * distance from that number; NaN for the target 63.
 */
export function countingEngine({ places = 100, maxChunk = 4, stepMs = 0, capacity = 1e9 } = {}) {
  const batches: StepInput[][] = [];
  const switched: string[] = [];
  let open = 0;
  const engine: Engine = {
    name: "wasm",
    digest: "counting",
    maxChunk,
    residentBytes: () => 0,
    capacityOf: () => capacity,
    async open(plan) {
      if (open === places) throw new EngineError("out_of_memory", "full");
      open++;
      let closed = false;
      const sequence: Sequence & { length: number } = {
        plan,
        length: 0,
        truncate(length) {
          sequence.length = length;
        },
        close() {
          if (!closed) open--;
          closed = true;
        },
      };
      return sequence;
    },
    async switchPlan(sequence, plan) {
      switched.push(plan.id);
      (sequence as { plan: Plan }).plan = plan;
    },
    async step(batch, pace) {
      batches.push([...batch]);
      await scheduler.wait(stepMs);
      await pace(1);
      return batch.map(({ sequence, tokens, logits }) => {
        const before = sequence.length;
        (sequence as { length: number }).length += tokens.length;
        if (typeof logits === "object") {
          return Float32Array.from(logits.targets, (target, i) =>
            target === 63 ? Number.NaN : -Math.abs(target - (before + i + 1)),
          );
        }
        const row = new Float32Array(logits === "none" ? 0 : 64);
        if (row.length) row[sequence.length % 64] = 1;
        return row;
      });
    },
  };
  return { engine, batches, switched, open: () => open };
}
