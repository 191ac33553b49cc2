// A replica in simulated time: whose turn it is follows the scheduler's own rules, the engine is its costs on a machine that the
// router does not know.

import { mulberry32 } from "../../evaluation/random.ts";
import { type Costs, chunkTime, stepTime } from "../../src/routing/costs.ts";
import { MAX_RUNNING } from "../../src/scheduler/limits.ts";
import type { Applicant, Served } from "../../src/scheduler/shares.ts";
import { admissible, dueAt, steppingOf, type TimeAllowed, type Waiting } from "../../src/scheduler/turns.ts";
import type { Catalogue } from "../../src/variants/catalogue.ts";
import type { LoadRequest } from "./load.ts";
import type { Times } from "./verdict.ts";

/** Milliseconds of work to those of the reference machine; the router has to find out. */
export interface Machine {
  readonly prefill: number;
  readonly decode: number;
  /** Milliseconds that every request takes beside. Default: none. */
  readonly overheadMs?: number;
  /** How far off a variant's costs are. Default: not at all. */
  misfit?(variant: string): number;
  /** Standard deviation of the logarithm of each step's time. */
  readonly noise: number;
}

/** How far a machine is off the costs of each variant, by a tenth at most; variants that compute the same take the same time. */
export function misfitsOf(catalogue: Catalogue): (variant: string) => number {
  const first = new Map<string, string>();
  for (const [id, { plan }] of catalogue) {
    const key = `${plan.costs.multiplyAdds} ${plan.costs.kvValues} ${plan.costs.weightBytes}`;
    first.set(id, first.get(key) ?? id);
    first.set(key, first.get(key) ?? id);
  }
  return (variant) => 0.9 + (((first.get(variant) ?? variant).length * 37) % 20) / 100;
}

/** A request on its way, with the variant that answers it. */
export interface Job {
  readonly request: LoadRequest;
  readonly variant: string;
  readonly costs: Costs;
  readonly allowed: TimeAllowed;
  /** Of the times of its steps: the same ones whatever else there is. */
  readonly seed: number;
  onToken?(now: number): void;
  onEnd(times: Times, now: number): void;
}

/** What may come of the jobs that are under way. */
export interface Future {
  /** Of a job's further steps; undefined keeps its own, as if they were known. The step under way ends as it does. */
  seedOf(job: Job): number | undefined;
  onEnd(job: Job, times: Times, now: number): void;
}

export interface SimulatedReplica {
  /** Plays on to a time, or until nothing is left. */
  runUntil(time: number): void;
  submit(job: Job, now: number): void;
  /** The same replica in a future that may differ: what happens there has no part in this one. */
  fork(future: Future): SimulatedReplica;
  /** Milliseconds, as far as they can be foretold, of what goes before a request that is due then. */
  ahead(due: number, now: number): number;
  readonly queued: number;
  readonly running: number;
}

/** Prompt tokens that a round takes in, as the WebAssembly engine does. */
const CHUNK = 64;
/** A step that gives way to something more urgent does so after this many milliseconds, about. */
const GIVE_WAY_MS = 10;
/** All requests are of one key. */
const EVEN: Served = new Map();

interface Entry extends Waiting, Applicant {
  readonly job: Job;
  readonly sentAt: number;
  /** The noise of the next step, drawn anew for each. */
  draw(): number;
  /** Numbers that have been drawn. */
  drawn: number;
  noise: number;
  steppedAt: number;
  prefilled: number;
  tokens: number;
  firstAt: number | undefined;
  decoding: boolean;
  admitted: boolean;
  /** Its last step was broken off. */
  interrupted: boolean;
}

interface Step {
  readonly entries: readonly Entry[];
  readonly due: number;
  readonly mayGiveWay: boolean;
  givesWay: boolean;
  end: number;
}

function enter(job: Job, now: number): Entry {
  const { allowed, request } = job;
  const next = mulberry32(job.seed);
  const entry: Entry = {
    job,
    sentAt: now,
    noise: 0,
    drawn: 0,
    steppedAt: now,
    prefilled: 0,
    tokens: 0,
    firstAt: undefined,
    decoding: false,
    admitted: false,
    interrupted: false,
    key: "",
    passedAt: undefined,
    draw() {
      entry.drawn++;
      return normal(next);
    },
    due(at) {
      const { firstAt, tokens } = entry;
      return dueAt({ allowed, askedAt: now, firstAt, tokens, maxTokens: request.maxTokens }, at);
    },
  };
  return entry;
}

/** An entry as it is, with steps of its own from here on. */
function copied(entry: Entry, { seedOf, onEnd }: Future): Entry {
  const { job, sentAt, noise, drawn, steppedAt, prefilled, tokens, firstAt, decoding, admitted, interrupted } = entry;
  const seed = seedOf(job);
  const own: Job = { ...job, seed: seed ?? job.seed, onToken() {}, onEnd: (times, now) => onEnd(job, times, now) };
  const copy = Object.assign(enter(own, sentAt), {
    steppedAt,
    prefilled,
    tokens,
    firstAt,
    decoding,
    admitted,
    interrupted,
  });
  if (seed === undefined) while (copy.drawn < drawn) copy.draw();
  copy.noise = seed === undefined ? noise : copy.draw();
  return copy;
}

export const createSimulatedReplica = (machine: Machine): SimulatedReplica => replicaOf(machine, [], undefined, 0);

/** @param begun what is under way, in the order in which it came, and the step that is computed */
function replicaOf(
  machine: Machine,
  begun: readonly Entry[],
  computed: Step | undefined,
  startsAt: number,
): SimulatedReplica {
  /** In the order in which they came. */
  let left = [...begun];
  const running = (): Entry[] => left.filter(({ admitted }) => admitted);
  let step = computed;
  let clock = startsAt;

  const factorOf = ({ job, noise }: Entry): number =>
    (machine.misfit?.(job.variant) ?? 1) * Math.exp(machine.noise * noise);
  function msOf(entry: Entry): number {
    const { job, prefilled, tokens } = entry;
    const { promptTokens } = job.request;
    if (entry.decoding) return factorOf(entry) * machine.decode * stepTime(job.costs, promptTokens + tokens);
    const chunk = Math.min(CHUNK, promptTokens - prefilled);
    const overhead = prefilled === 0 ? (machine.overheadMs ?? 0) : 0;
    return (
      overhead + factorOf(entry) * chunkTime(job.costs, machine, prefilled, chunk, prefilled + chunk === promptTokens)
    );
  }

  /** What is left of it, without noise. */
  function restOf({ job, prefilled, tokens }: Entry): number {
    const { promptTokens, maxTokens } = job.request;
    const factor = machine.misfit?.(job.variant) ?? 1;
    const prompt = prefilled < promptTokens;
    const inner = prompt ? chunkTime(job.costs, machine, prefilled, promptTokens - prefilled, true) : 0;
    const steps = maxTokens - tokens - Number(prompt);
    return factor * (inner + steps * machine.decode * stepTime(job.costs, promptTokens + maxTokens / 2));
  }

  function begin(): void {
    for (;;) {
      const queue = left.filter(({ admitted }) => !admitted);
      const [next] = admissible(queue, running(), EVEN, clock, MAX_RUNNING);
      if (!next) break;
      next.admitted = true;
    }
    if (left.length === 0) return;
    const entries = steppingOf(running(), EVEN, clock, 2 * MAX_RUNNING);
    step = {
      entries,
      due: Math.min(...entries.map((entry) => entry.due(clock))),
      mayGiveWay: entries.some(({ decoding }) => !decoding) && entries.every(({ interrupted }) => !interrupted),
      givesWay: false,
      end: clock + entries.reduce((sum, entry) => sum + msOf(entry), 0),
    };
  }

  function finish({ entries, givesWay, end }: Step): void {
    clock = end;
    step = undefined;
    for (const entry of entries) entry.interrupted = givesWay;
    if (givesWay) return;
    for (const entry of entries) {
      const { job } = entry;
      const { promptTokens, maxTokens } = job.request;
      if (!entry.decoding) entry.prefilled += Math.min(CHUNK, promptTokens - entry.prefilled);
      entry.steppedAt = clock;
      entry.noise = entry.draw();
      if (entry.prefilled < promptTokens) continue;
      entry.decoding = true;
      entry.tokens++;
      entry.firstAt ??= clock;
      job.onToken?.(clock);
      if (entry.tokens < maxTokens) continue;
      const [latency, ttft] = [clock - entry.sentAt, entry.firstAt - entry.sentAt];
      job.onEnd({ latency, ttft, tpot: maxTokens > 1 ? (latency - ttft) / (maxTokens - 1) : 0 }, clock);
    }
    left = left.filter(({ tokens, job }) => tokens < job.request.maxTokens);
  }

  return {
    runUntil(time) {
      for (;;) {
        if (!step) begin();
        if (!step || step.end > time) return;
        finish(step);
      }
    },
    submit(job, now) {
      // With nothing under way, time has stood still.
      if (!step) clock = now;
      const entry = enter(job, now);
      entry.noise = entry.draw();
      const due = entry.due(now);
      left.push(entry);
      if (!step?.mayGiveWay || step.givesWay || due >= step.due) return;
      if (admissible([entry], running(), EVEN, now, MAX_RUNNING).length === 0) return;
      step.givesWay = true;
      step.end = Math.min(step.end, now + GIVE_WAY_MS);
    },
    fork(future) {
      const copies = new Map(left.map((entry) => [entry, copied(entry, future)]));
      const entries = step?.entries.map((entry) => copies.get(entry) as Entry) ?? [];
      return replicaOf(machine, [...copies.values()], step && { ...step, entries }, clock);
    },
    ahead(due, now) {
      const before = left.filter((entry) => entry.due(now) <= due);
      return before.reduce((sum, entry) => sum + restOf(entry), 0);
    },
    get queued() {
      return left.length - running().length;
    },
    get running() {
      return running().length;
    },
  };
}

const normal = (next: () => number): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
