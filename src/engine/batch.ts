// Runs many generations on one engine: each round steps every sequence that decodes and one chunk of one prompt, so that a long prompt
// does not stall the answers under way. A generation's tokens do not depend on what else is running.
import type { Plan } from "../variants/plan.ts";
import type { Generation } from "./generation.ts";
import { createRunning, type Running } from "./running.ts";
import { type Engine, EngineError, type Pace } from "./types.ts";

export interface Submitted {
  /** Ends it, at the latest after the step under way. */
  cancel(): void;
  /**
   * Goes on under another plan from the next step on. Resolves with the number of tokens that came before.
   * @throws EngineError `bad_plan` when the plan cannot go on from the one so far; Error when the generation is over
   */
  switchPlan(plan: Plan): Promise<number>;
}

export interface Batcher {
  /** Queues a generation. */
  submit(generation: Generation): Submitted;
  /**
   * Lends the engine to other work while there is nothing to generate. Once a generation comes, the pace that the work is given throws
   * `GaveWayError`; the generation starts when the work has settled.
   * @throws GaveWayError, at once when generations run or wait or the engine is lent already; or what the work throws
   */
  whileIdle<T>(work: (pace: Pace) => Promise<T>): Promise<T>;
  /** Generations that wait for a place. */
  readonly queued: number;
  /** Generations that hold a sequence. */
  readonly running: number;
  /** Most tokens, prompt and reply together, that a generation of this plan may have. */
  capacityOf(plan: Plan): number;
}

export interface BatcherOptions {
  readonly engine: Engine;
  readonly pace: Pace;
  /** Most sequences at once; more wait their turn. */
  readonly maxRunning: number;
  /** Told of the work that generations take; not of what the engine is lent for. */
  readonly onWork?: ((multiplyAdds: number) => void) | undefined;
}

/** Other work on the engine had to stop, or did not start, because there is something to generate. */
export class GaveWayError extends Error {
  override readonly name = "GaveWayError";
}

/** A plan to go on with, before the next step. */
interface Switch {
  readonly generation: Generation;
  readonly plan: Plan;
  resolve(tokens: number): void;
  reject(error: unknown): void;
}

export function createBatcher({ engine, pace, maxRunning, onWork }: BatcherOptions): Batcher {
  const livePace: Pace = (multiplyAdds) => {
    onWork?.(multiplyAdds);
    return pace(multiplyAdds);
  };
  const queue: Generation[] = [];
  let running: Running[] = [];
  let switches: Switch[] = [];
  let looping = false;
  let wake: (() => void) | undefined;
  /** Settles when the engine is no longer lent; never rejects. */
  let lent: Promise<void> | undefined;

  /** Opens sequences for those at the head of the queue, as far as places and memory allow. */
  async function admit(): Promise<void> {
    while (running.length < maxRunning) {
      const generation = queue[0];
      if (!generation) return;
      try {
        const { plan, promptIds, maxTokens, scope } = generation;
        const sequence = await engine.open(plan, promptIds.length + maxTokens, scope);
        if (queue[0] !== generation) {
          sequence.close();
          continue;
        }
        queue.shift();
        running.push(createRunning({ generation, sequence, maxChunk: engine.maxChunk, onChange: () => wake?.() }));
      } catch (error) {
        // Memory comes back when a running generation ends; without one, waiting would be for ever.
        if (error instanceof EngineError && error.code === "out_of_memory" && running.length > 0) return;
        if (queue[0] !== generation) continue;
        queue.shift();
        generation.onError(error);
      }
    }
  }

  async function switchPlans(): Promise<void> {
    const due = switches;
    switches = [];
    for (const wanted of due) {
      const entry = running.find(({ generation, over }) => generation === wanted.generation && !over);
      if (!entry && queue.includes(wanted.generation)) {
        switches.push(wanted);
        continue;
      }
      try {
        if (!entry) throw new Error("the generation is over");
        await engine.switchPlan(entry.sequence, wanted.plan);
        wanted.resolve(entry.generated);
      } catch (error) {
        wanted.reject(error);
      }
    }
  }

  async function loop(): Promise<void> {
    await lent;
    for (;;) {
      for (const entry of running) if (entry.over) entry.close();
      running = running.filter((entry) => !entry.over);
      await admit();
      if (switches.length > 0) await switchPlans();
      if (running.length === 0 && queue.length === 0) return;
      const ready = running.filter((entry) => !entry.over && !entry.paused);
      const prefilling = ready.find((entry) => !entry.decoding);
      if (prefilling && !prefilling.begun) prefilling.begin();
      const stepping = ready.filter((entry) => !entry.over && (entry.decoding || entry === prefilling));
      if (stepping.length === 0) {
        if (running.some((entry) => entry.over)) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
        continue;
      }
      const inputs = stepping.map((entry) => entry.nextInput());
      try {
        const outputs = await engine.step(inputs, livePace);
        for (const [i, entry] of stepping.entries()) {
          try {
            entry.take(inputs[i]!, outputs[i]!);
          } catch (error) {
            entry.fail(error);
          }
        }
      } catch (error) {
        for (const entry of stepping) entry.fail(error);
      }
    }
  }

  function start(): void {
    if (looping) return wake?.();
    looping = true;
    loop().finally(() => {
      looping = false;
      if (queue.length > 0 || switches.length > 0) start();
    });
  }

  return {
    submit(generation) {
      queue.push(generation);
      start();
      return {
        cancel() {
          const at = queue.indexOf(generation);
          if (at >= 0) queue.splice(at, 1);
          running.find((entry) => entry.generation === generation)?.finish();
        },
        switchPlan: (plan) =>
          new Promise((resolve, reject) => {
            switches.push({ generation, plan, resolve, reject });
            start();
          }),
      };
    },
    async whileIdle(work) {
      if (looping || lent) throw new GaveWayError("the engine is at work");
      const working = work((multiplyAdds) => {
        if (looping) throw new GaveWayError("there is something to generate");
        return pace(multiplyAdds);
      });
      lent = working.then(
        () => {},
        () => {},
      );
      try {
        return await working;
      } finally {
        lent = undefined;
      }
    },
    capacityOf: (plan) => engine.capacityOf(plan),
    get queued() {
      return queue.length;
    },
    get running() {
      return running.length;
    },
  };
}
