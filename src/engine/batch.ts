// Runs many generations on one engine: each round steps every sequence that decodes and one chunk of one prompt, so that a long prompt
// does not stall the answers under way. A generation's tokens do not depend on what else is running.
import type { Plan } from "../variants/plan.ts";
import type { Matcher } from "./grammar/index.ts";
import type { Sampler } from "./sampling/index.ts";
import { type Engine, EngineError, type Pace, type Sequence, type StepInput } from "./types.ts";

export interface Generation {
  readonly plan: Plan;
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  /** Tokens that end the model's turn; they are not delivered. */
  readonly endIds: readonly number[];
  readonly sampler: Sampler;
  /** Which tokens may come: it masks what is sampled, and ends the generation as "stop" where nothing more can come. */
  readonly matcher?: Matcher | undefined;
  /**
   * Receives a token. While the returned promise is pending the receiver is behind and the sequence pauses; a rejection means that it is
   * gone and ends the generation without a further call.
   */
  onToken(id: number): Promise<void> | undefined;
  onEnd(reason: "stop" | "length"): void;
  onError(error: unknown): void;
}

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
}

/** Other work on the engine had to stop, or did not start, because there is something to generate. */
export class GaveWayError extends Error {
  override readonly name = "GaveWayError";
}

interface Running {
  readonly generation: Generation;
  readonly sequence: Sequence;
  /** Prompt tokens that have gone in. */
  prefilled: number;
  /** The last token sampled, not yet in the KV cache. */
  next: number | undefined;
  generated: number;
  paused: boolean;
  over: boolean;
}

/** A plan to go on with, before the next step. */
interface Switch {
  readonly generation: Generation;
  readonly plan: Plan;
  resolve(tokens: number): void;
  reject(error: unknown): void;
}

export function createBatcher({ engine, pace, maxRunning }: BatcherOptions): Batcher {
  const queue: Generation[] = [];
  let running: Running[] = [];
  let switches: Switch[] = [];
  let looping = false;
  let wake: (() => void) | undefined;
  /** Settles when the engine is no longer lent; never rejects. */
  let lent: Promise<void> | undefined;

  const finish = (entry: Running): void => {
    entry.over = true;
    wake?.();
  };

  /** Opens sequences for those at the head of the queue, as far as places and memory allow. */
  async function admit(): Promise<void> {
    while (running.length < maxRunning) {
      const generation = queue[0];
      if (!generation) return;
      try {
        const sequence = await engine.open(generation.plan, generation.promptIds.length + generation.maxTokens);
        if (queue[0] !== generation) {
          sequence.close();
          continue;
        }
        queue.shift();
        running.push({ generation, sequence, prefilled: 0, next: undefined, generated: 0, paused: false, over: false });
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

  function nextInput(entry: Running): StepInput {
    const { sequence, generation, prefilled } = entry;
    if (entry.next !== undefined) return { sequence, tokens: [entry.next], logits: "last" };
    const tokens = generation.promptIds.slice(prefilled, prefilled + engine.maxChunk);
    const last = prefilled + tokens.length === generation.promptIds.length;
    return { sequence, tokens, logits: last ? "last" : "none" };
  }

  function take(entry: Running, input: StepInput, logits: Float32Array): void {
    if (entry.next === undefined) entry.prefilled += input.tokens.length;
    if (input.logits === "none" || entry.over) return;
    const { generation, sequence } = entry;
    if (Number.isNaN(logits[0])) {
      throw new EngineError(
        "not_finite",
        `${sequence.plan.id} computed NaN or infinity at position ${sequence.length}: ask another variant`,
      );
    }
    const { matcher } = generation;
    const { id } = generation.sampler.next(logits, sequence.length, matcher?.mask());
    if (generation.endIds.includes(id)) {
      generation.onEnd("stop");
      return finish(entry);
    }
    matcher?.accept(id);
    entry.next = id;
    entry.generated++;
    const pending = generation.onToken(id);
    if (matcher?.over || entry.generated === generation.maxTokens) {
      generation.onEnd(matcher?.over ? "stop" : "length");
      return finish(entry);
    }
    if (!pending) return;
    entry.paused = true;
    pending.then(
      () => {
        entry.paused = false;
        wake?.();
      },
      () => finish(entry),
    );
  }

  async function loop(): Promise<void> {
    await lent;
    for (;;) {
      for (const entry of running) if (entry.over) entry.sequence.close();
      running = running.filter((entry) => !entry.over);
      await admit();
      if (switches.length > 0) await switchPlans();
      if (running.length === 0 && queue.length === 0) return;
      const ready = running.filter((entry) => !entry.over && !entry.paused);
      const prefilling = ready.find((entry) => entry.next === undefined);
      const stepping = ready.filter((entry) => entry.next !== undefined || entry === prefilling);
      if (stepping.length === 0) {
        if (running.some((entry) => entry.over)) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
        continue;
      }
      const inputs = stepping.map(nextInput);
      try {
        const outputs = await engine.step(inputs, pace);
        for (const [i, entry] of stepping.entries()) {
          try {
            take(entry, inputs[i]!, outputs[i]!);
          } catch (error) {
            entry.generation.onError(error);
            finish(entry);
          }
        }
      } catch (error) {
        for (const entry of stepping) {
          if (!entry.over) entry.generation.onError(error);
          finish(entry);
        }
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
          const entry = running.find((candidate) => candidate.generation === generation);
          if (entry) finish(entry);
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
