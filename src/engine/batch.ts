// Runs many generations on one engine: each round steps every sequence that decodes and one chunk of one prompt, so that a long prompt
// does not stall the answers under way. A generation's tokens do not depend on what else is running.
import type { Plan } from "../variants/plan.ts";
import type { Generation } from "./generation.ts";
import { type Engine, EngineError, type Pace, type Sequence, type StepInput } from "./types.ts";

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

interface Running {
  readonly generation: Generation;
  readonly sequence: Sequence;
  /** Prompt tokens that have gone in; undefined before it has begun. */
  prefilled: number | undefined;
  /** All likelihoods of the prompt so far; as long as they will be. */
  readonly rows: Float32Array;
  /** The last token sampled, not yet in the KV cache. */
  next: number | undefined;
  generated: number;
  paused: boolean;
  over: boolean;
  /** What the sequence holds may not all be computed. */
  failed: boolean;
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

  const finish = (entry: Running): void => {
    entry.over = true;
    wake?.();
  };

  const fail = (entry: Running, error: unknown): void => {
    if (!entry.over) entry.generation.onError(error);
    entry.failed = true;
    finish(entry);
  };

  const close = (entry: Running): void => {
    if (entry.next !== undefined && !entry.failed) share(entry);
    entry.sequence.close();
  };

  /** Opens sequences for those at the head of the queue, as far as places and memory allow. */
  async function admit(): Promise<void> {
    while (running.length < maxRunning) {
      const generation = queue[0];
      if (!generation) return;
      try {
        const { plan, promptIds, maxTokens, promptLikelihoods: top, scope } = generation;
        const sequence = await engine.open(plan, promptIds.length + maxTokens, scope);
        if (queue[0] !== generation) {
          sequence.close();
          continue;
        }
        queue.shift();
        const rows = new Float32Array(top === undefined ? 0 : (promptIds.length - 1) * (1 + 2 * top));
        running.push({
          ...{ generation, sequence, rows },
          ...{ prefilled: undefined, next: undefined, generated: 0, paused: false, over: false, failed: false },
        });
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
    const { sequence, generation } = entry;
    if (entry.next !== undefined) return { sequence, tokens: [entry.next], logits: "last" };
    const { promptIds, promptLikelihoods: top } = generation;
    const prefilled = entry.prefilled as number;
    const end = prefilled + engine.maxChunk;
    if (top === undefined || prefilled === promptIds.length - 1) {
      return { sequence, tokens: promptIds.slice(prefilled, end), logits: end < promptIds.length ? "none" : "last" };
    }
    // Without the last token: what comes after it is drawn.
    const tokens = promptIds.slice(prefilled, Math.min(end, promptIds.length - 1));
    return {
      sequence,
      tokens,
      logits: { targets: promptIds.slice(prefilled + 1, prefilled + 1 + tokens.length), top },
    };
  }

  /** Takes over what is there of the prompt already. */
  function begin(entry: Running): void {
    const { sequence, generation, rows } = entry;
    const known = sequence.reuse?.(generation.promptIds, generation.promptLikelihoods);
    entry.prefilled = sequence.length;
    generation.onStart?.(sequence.length);
    if (known && known.length > 0) {
      rows.set(known);
      generation.onPrompt?.(known);
    }
    endAfterPrompt(entry);
  }

  function share({ sequence, generation, rows }: Running): void {
    const { promptLikelihoods: top } = generation;
    sequence.share?.(top === undefined ? undefined : { top, rows });
  }

  function take(entry: Running, input: StepInput, logits: Float32Array): void {
    const { generation, sequence, rows } = entry;
    const from = entry.prefilled as number;
    if (entry.next === undefined) entry.prefilled = from + input.tokens.length;
    if (input.logits === "none" || entry.over) return;
    const width = typeof input.logits === "object" ? 1 + 2 * input.logits.top : logits.length;
    if (hasSpoiledRow(logits, width)) {
      throw new EngineError(
        "not_finite",
        `${sequence.plan.id} computed NaN or infinity at position ${sequence.length}: ask another variant`,
      );
    }
    if (typeof input.logits === "object") {
      rows.set(logits, from * width);
      generation.onPrompt?.(logits);
      return endAfterPrompt(entry);
    }
    if (entry.next === undefined) share(entry);
    const { matcher } = generation;
    const token = generation.sampler.next(logits, sequence.length, matcher?.mask());
    const { id } = token;
    if (generation.endIds.includes(id)) {
      generation.onEnd("stop", token);
      return finish(entry);
    }
    matcher?.accept(id);
    entry.next = id;
    entry.generated++;
    const pending = generation.onToken(token);
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

  /** Where no token is wanted, the generation ends with the prompt's likelihoods. */
  function endAfterPrompt(entry: Running): void {
    const { generation, prefilled = 0 } = entry;
    if (generation.maxTokens > 0 || entry.over || prefilled < generation.promptIds.length - 1) return;
    share(entry);
    generation.onEnd("length");
    finish(entry);
  }

  async function loop(): Promise<void> {
    await lent;
    for (;;) {
      for (const entry of running) if (entry.over) close(entry);
      running = running.filter((entry) => !entry.over);
      await admit();
      if (switches.length > 0) await switchPlans();
      if (running.length === 0 && queue.length === 0) return;
      const ready = running.filter((entry) => !entry.over && !entry.paused);
      const prefilling = ready.find((entry) => entry.next === undefined);
      if (prefilling?.prefilled === undefined && prefilling) begin(prefilling);
      const stepping = ready.filter((entry) => !entry.over && (entry.next !== undefined || entry === prefilling));
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
        const outputs = await engine.step(inputs, livePace);
        for (const [i, entry] of stepping.entries()) {
          try {
            take(entry, inputs[i]!, outputs[i]!);
          } catch (error) {
            fail(entry, error);
          }
        }
      } catch (error) {
        for (const entry of stepping) fail(entry, error);
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

/** A row in which a NaN or an infinity came up is all NaN. */
function hasSpoiledRow(rows: Float32Array, width: number): boolean {
  for (let at = 0; at < rows.length; at += width) if (Number.isNaN(rows[at])) return true;
  return false;
}
