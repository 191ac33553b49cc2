// Runs many generations on one engine. A round is the turn of one that hurries, or a batch: a token of each sequence
// that decodes and one chunk of one prompt, so that a long prompt does not stall the answers under way. Keys have equal
// shares. A generation's tokens do not depend on what else is running.

import type { Engine, Pace } from "../engine/index.ts";
import type { Plan } from "../variants/index.ts";
import { turn } from "../work.ts";
import { type Admission, createAdmission } from "./admission.ts";
import type { Generation } from "./generation.ts";
import { createJob, type Job } from "./job.ts";
import { charge, DECODE_UNITS, enter, forget, LOAN, leastOf, type Served, servedOf } from "./shares.ts";
import { admissible, steppingOf } from "./turns.ts";
import { createForecast, type Refusal } from "./wait.ts";

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
  /** Why a generation of this scope should not be queued now; undefined when it may. */
  refusal(asking: Pick<Generation, "scope" | "background">): Refusal | undefined;
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
  /** Most sequences of a key that share turns; more wait. What hurries may get as many again. */
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

/** A reader that has taken nothing for this long gives up the memory of its sequence until it takes something. */
export const STALL_MS = 3_000;

/** Work of several sequences' masks between two turns of the event loop: some 10 ms, and at most one more mask. */
const MASK_WORK = 100_000;

/** A plan to go on with, before the next step. */
interface Switch {
  readonly job: Job;
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
  const served: Served = new Map();
  const forecast = createForecast(maxRunning);
  /** Those that have something to do, by whether they hold a sequence. */
  const admission: Admission = createAdmission({ engine, served, maxRunning, now });
  const { jobs } = admission;
  /** The step under way: when it is due, whether it may be broken off, and whether it is to be. */
  let step: { readonly due: number; readonly mayGiveWay: boolean; givesWay: boolean } | undefined;
  /** Those whose last step was broken off: the next one is not, so that each gets on. */
  const interrupted = new Set<Job>();
  /** Keys that could step in the last round. */
  let level: ReadonlySet<string> = new Set();
  let switches: Switch[] = [];
  let looping = false;
  /** A job came, ended or went on since the round began. */
  let changed = false;
  let wake: (() => void) | undefined;
  /** Settles when the engine is no longer lent; never rejects. */
  let lent: Promise<void> | undefined;

  async function switchPlans(): Promise<void> {
    const due = switches;
    switches = [];
    for (const wanted of due) {
      const { job, plan } = wanted;
      if (!job.over && (!job.sequence || job.recomputing)) {
        switches.push(wanted);
        continue;
      }
      try {
        if (job.over || !job.sequence) throw new Error("the generation is over");
        await engine.switchPlan(job.sequence, plan);
        job.switched();
        wanted.resolve(job.generated);
      } catch (error) {
        wanted.reject(error);
      }
    }
  }

  /** Closes what is over, and takes the memory of those whose readers take nothing. */
  function tidy(): void {
    for (const job of [...jobs]) {
      if (job.over) {
        job.close();
        interrupted.delete(job);
        jobs.delete(job);
        if (job.generated > 0) forecast.ended(job.generated);
      } else if (job.sequence && job.pausedAt !== undefined && now() - job.pausedAt >= STALL_MS) job.detach();
    }
  }

  function notice(): void {
    changed = true;
    wake?.();
  }

  /** Waits until a job comes, ends or goes on, or a reader has stalled. */
  async function untilChange(): Promise<void> {
    if (changed) return;
    const stalls = [...jobs].flatMap(({ sequence, pausedAt }) =>
      sequence && pausedAt !== undefined ? [pausedAt + STALL_MS - now()] : [],
    );
    const timer = stalls.length > 0 && setTimeout(notice, Math.max(0, Math.min(...stalls)));
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    wake = undefined;
    if (timer !== false) clearTimeout(timer);
  }

  /** Who can step: a key that could not before begins level with those that could. */
  function ready(): Job[] {
    const able = [...jobs].filter((job) => job.sequence && !job.over && job.pausedAt === undefined);
    const keys = new Set(able.map(({ key }) => key));
    const before = [...keys].filter((key) => level.has(key));
    for (const key of keys) if (!level.has(key)) enter(served, key, before);
    level = keys;
    return able;
  }

  /** Makes those whose turn it is ready to step. */
  async function prepare(turn: readonly Job[]): Promise<Job[]> {
    for (const job of turn) {
      if (!job.begun) job.begin();
      const plan = job.over ? undefined : job.switchDue;
      if (plan && job.sequence) {
        await engine.switchPlan(job.sequence, plan).catch((error: unknown) => job.fail(error));
      }
    }
    return turn.filter(({ over, sequence }) => !over && sequence);
  }

  async function makeStep(stepping: readonly Job[]): Promise<void> {
    const inputs = stepping.map((job) => job.nextInput());
    const at = now();
    step = {
      due: Math.min(...stepping.map((job) => job.due(at))),
      mayGiveWay: inputs.some(({ tokens }) => tokens.length > 1) && !stepping.some((job) => interrupted.has(job)),
      givesWay: false,
    };
    try {
      const decodes = stepping.map(({ decoding }) => decoding);
      const outputs = await engine.step(inputs, livePace);
      const units = inputs.map(({ tokens }, i) => tokens.length * (decodes[i] ? DECODE_UNITS : 1));
      forecast.stepped(
        units.reduce((sum, each) => sum + each, 0),
        now() - at,
      );
      let masked = 0;
      for (const [i, job] of stepping.entries()) {
        interrupted.delete(job);
        charge(served, job.key, units[i] as number);
        if (masked > MASK_WORK) {
          masked = 0;
          await turn();
        }
        const { matcher } = job.generation;
        const before = matcher?.work ?? 0;
        try {
          job.take(inputs[i]!, outputs[i]!);
        } catch (error) {
          job.fail(error);
        }
        masked += (matcher?.work ?? 0) - before;
      }
    } catch (error) {
      for (const job of stepping) {
        if (error instanceof GaveWayError) interrupted.add(job);
        else job.fail(error);
      }
    } finally {
      step = undefined;
    }
  }

  async function loop(): Promise<void> {
    await lent;
    for (;;) {
      changed = false;
      tidy();
      await admission.admit();
      if (switches.length > 0) await switchPlans();
      if (jobs.size === 0) {
        served.clear();
        return;
      }
      forget(served, new Set([...jobs].map(({ key }) => key)));
      const stepping = await prepare(steppingOf(ready(), served, now(), 2 * maxRunning));
      if (stepping.length > 0) await makeStep(stepping);
      else if (![...jobs].some((job) => job.over)) await untilChange();
    }
  }

  function start(): void {
    if (looping) return notice();
    looping = true;
    loop().finally(() => {
      looping = false;
      if (jobs.size > 0 || switches.length > 0) start();
    });
  }

  return {
    submit(generation) {
      const askedAt = now();
      const { maxChunk } = engine;
      const job = createJob({ generation, askedAt, now, maxChunk, onChange: notice });
      const { key } = job;
      const keys = new Set([...jobs].filter(({ pausedAt }) => pausedAt === undefined).map((other) => other.key));
      if (!keys.has(key)) {
        enter(served, key, keys);
        forecast.began(key, askedAt);
      }
      jobs.add(job);
      const due = job.due(askedAt);
      const owes = servedOf(served, key) - leastOf(served, keys) > LOAN;
      const fits = admissible([job], admission.holders(), served, askedAt, maxRunning).length > 0;
      if (step?.mayGiveWay && fits && !owes && due < step.due) step.givesWay = true;
      start();
      return {
        cancel: () => void (jobs.has(job) && job.finish()),
        switchPlan: (plan) =>
          new Promise((resolve, reject) => {
            switches.push({ job, plan, resolve, reject });
            start();
          }),
      };
    },
    refusal: (asking) => forecast.refusal([...jobs], asking, now()),
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
      return [...jobs].filter(({ sequence, over }) => !sequence && !over).length;
    },
    get running() {
      return [...jobs].filter(({ sequence }) => sequence).length;
    },
  };
}
