// Who gets a sequence, and with it memory: the key that was given least goes first, what has no room is passed over,
// and a key that has more memory than its share gives some up for one that has less.

import { type Engine, EngineError } from "../engine/index.ts";
import type { Job } from "./job.ts";
import { isBackground, type Served, victimsOf } from "./shares.ts";
import { admissible } from "./turns.ts";

export interface Admission {
  /** All that are under way, in the order in which they came. */
  readonly jobs: Set<Job>;
  /** Those that hold a sequence, in the order in which they got it. */
  holders(): readonly Job[];
  /** Opens sequences as far as places and memory allow. */
  admit(): Promise<void>;
}

export interface AdmissionOptions {
  readonly engine: Engine;
  readonly served: Served;
  readonly maxRunning: number;
  now(): number;
}

export function createAdmission({ engine, served, maxRunning, now }: AdmissionOptions): Admission {
  const jobs = new Set<Job>();
  /** In the order in which they got their sequences. */
  let holding: Job[] = [];
  const holders = (): Job[] => {
    holding = holding.filter(({ sequence }) => sequence);
    return holding;
  };
  const sizeOf = ({ capacity, firstPlan }: Job): number => capacity / Math.max(1, engine.capacityOf(firstPlan));

  /** Those that give up memory for a job; none when that is not enough, or not fair. */
  function victimsFor(job: Job): Job[] {
    const busy = [...jobs].filter(({ pausedAt, sequence }) => pausedAt === undefined || sequence);
    const keys = new Set(busy.map(({ key }) => key).filter((key) => !isBackground(key)));
    const all = holders().filter(({ over }) => !over);
    const sized = all.map((holder) => ({
      job: holder,
      key: holder.key,
      size: sizeOf(holder),
      paused: holder.pausedAt !== undefined,
    }));
    return victimsOf(sized, { key: job.key, size: sizeOf(job) }, keys.size).map((victim) => victim.job);
  }

  /** @returns whether the job has got a sequence, or is over */
  async function open(job: Job): Promise<boolean> {
    for (let mayTake = true; ; mayTake = false) {
      try {
        const sequence = await engine.open(job.firstPlan, job.capacity, job.generation.scope, job.known);
        if (job.over) sequence.close();
        else {
          job.attach(sequence);
          holding.push(job);
        }
        return true;
      } catch (error) {
        if (!(error instanceof EngineError && error.code === "out_of_memory")) {
          job.fail(error);
          return true;
        }
        const victims = mayTake ? victimsFor(job) : [];
        for (const victim of victims) victim.detach();
        if (victims.length > 0) continue;
        // Memory comes back when a running generation ends; without one, waiting would be for ever.
        if (holders().length === 0) job.fail(error);
        return job.over;
      }
    }
  }

  return {
    jobs,
    holders,
    async admit() {
      /** Had no room in this round, or gave theirs up for others. */
      const tried = new Set(holders());
      for (;;) {
        const queue = [...jobs].filter((job) => !job.sequence && !job.over && job.pausedAt === undefined);
        const next = admissible(queue, holders(), served, now(), maxRunning).find((job) => !tried.has(job));
        if (!next) return;
        tried.add(next);
        if (!(await open(next))) next.passedAt ??= now();
      }
    },
  };
}
