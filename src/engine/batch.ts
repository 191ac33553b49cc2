// Runs many generations on one engine. A round is the turn of one that hurries, or of all that do not: those step every sequence that
// decodes and one chunk of one prompt, so that a long prompt does not stall the answers under way. A generation's tokens do not depend on
// what else is running.
import type { Plan } from "../variants/plan.ts";
import type { Generation } from "./generation.ts";
import { createRunning, type Running } from "./running.ts";
import { dueAt, nextAdmitted, placesFor, steppingOf, type Waiting } from "./turns.ts";
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
  /** Most sequences that share turns; more wait. What hurries may get as many again. */
  readonly maxRunning: number;
  /** Told of the work that generations take; not of what the engine is lent for. */
  readonly onWork?: ((multiplyAdds: number) => void) | undefined;
  /** Milliseconds. Default: `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** Other work on the engine had to stop, or did not start, because there is something to generate. */
export class GaveWayError extends Error {
  override readonly name = "GaveWayError";
}

/** A generation that waits for a place. */
interface Queued extends Waiting {
  readonly generation: Generation;
}

/** A plan to go on with, before the next step. */
interface Switch {
  readonly generation: Generation;
  readonly plan: Plan;
  resolve(tokens: number): void;
  reject(error: unknown): void;
}

export function createBatcher({ engine, pace, maxRunning, onWork, now = Date.now }: BatcherOptions): Batcher {
  const livePace: Pace = (multiplyAdds) => {
    onWork?.(multiplyAdds);
    if (step?.givesWay) throw new GaveWayError("there is something more urgent to generate");
    return pace(multiplyAdds);
  };
  const queue: Queued[] = [];
  let running: Running[] = [];
  /** The step under way: when it is due, whether it may be broken off, and whether it is to be. */
  let step: { readonly due: number; readonly mayGiveWay: boolean; givesWay: boolean } | undefined;
  /** Those whose last step was broken off: the next one is not, so that each gets on. */
  const interrupted = new Set<Running>();
  let switches: Switch[] = [];
  let looping = false;
  let wake: (() => void) | undefined;
  /** Settles when the engine is no longer lent; never rejects. */
  let lent: Promise<void> | undefined;

  /** Opens sequences for the most urgent of the queue, then those at its head, as far as places and memory allow. */
  async function admit(): Promise<void> {
    for (;;) {
      const first = nextAdmitted(queue, running.length, now(), maxRunning);
      if (!first) return;
      const { generation, steppedAt: askedAt } = first;
      try {
        const { plan, promptIds, maxTokens, scope } = generation;
        const sequence = await engine.open(plan, promptIds.length + maxTokens, scope);
        if (!leave(generation)) {
          sequence.close();
          continue;
        }
        const { maxChunk } = engine;
        running.push(createRunning({ generation, sequence, askedAt, now, maxChunk, onChange: () => wake?.() }));
      } catch (error) {
        // Memory comes back when a running generation ends; without one, waiting would be for ever.
        if (error instanceof EngineError && error.code === "out_of_memory" && running.length > 0) return;
        if (leave(generation)) generation.onError(error);
      }
    }
  }

  /** Takes a generation out of the queue. @returns whether it was there */
  function leave(generation: Generation): boolean {
    const at = queue.findIndex((entry) => entry.generation === generation);
    if (at >= 0) queue.splice(at, 1);
    return at >= 0;
  }

  async function switchPlans(): Promise<void> {
    const due = switches;
    switches = [];
    for (const wanted of due) {
      const entry = running.find(({ generation, over }) => generation === wanted.generation && !over);
      if (!entry && queue.some(({ generation }) => generation === wanted.generation)) {
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
      for (const entry of running) {
        if (!entry.over) continue;
        entry.close();
        interrupted.delete(entry);
      }
      running = running.filter((entry) => !entry.over);
      await admit();
      if (switches.length > 0) await switchPlans();
      if (running.length === 0 && queue.length === 0) return;
      const at = now();
      const ready = running.filter((entry) => !entry.over && !entry.paused);
      const turn = steppingOf(ready, at);
      for (const entry of turn) if (!entry.begun) entry.begin();
      const stepping = turn.filter((entry) => !entry.over);
      if (stepping.length === 0) {
        if (running.some((entry) => entry.over)) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
        continue;
      }
      const inputs = stepping.map((entry) => entry.nextInput());
      step = {
        due: Math.min(...stepping.map((entry) => entry.due(at))),
        mayGiveWay: inputs.some(({ tokens }) => tokens.length > 1) && !stepping.some((entry) => interrupted.has(entry)),
        givesWay: false,
      };
      try {
        const outputs = await engine.step(inputs, livePace);
        for (const [i, entry] of stepping.entries()) {
          interrupted.delete(entry);
          try {
            entry.take(inputs[i]!, outputs[i]!);
          } catch (error) {
            entry.fail(error);
          }
        }
      } catch (error) {
        for (const entry of stepping) {
          if (error instanceof GaveWayError) interrupted.add(entry);
          else entry.fail(error);
        }
      } finally {
        step = undefined;
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
      const { allowed, maxTokens } = generation;
      const askedAt = now();
      const none = { firstAt: undefined, tokens: 0 };
      const due = (at: number): number => dueAt({ allowed, askedAt, ...none, maxTokens }, at);
      queue.push({ generation, due, steppedAt: askedAt });
      const hasPlace = running.length < placesFor(due(askedAt), maxRunning);
      if (step?.mayGiveWay && hasPlace && due(askedAt) < step.due) step.givesWay = true;
      start();
      return {
        cancel() {
          leave(generation);
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
