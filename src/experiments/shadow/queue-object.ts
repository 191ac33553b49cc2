// The queue of answers to be scored: a Durable Object with an alarm, so that jobs outlive the isolate that took them. A job leaves it when its
// outcomes are recorded or would no longer count, and with it what a client wrote.
import { DurableObject } from "cloudflare:workers";
import type { Replica } from "../../replica/index.ts";
import { type ShadowJob, type ShadowOutcome, type ShadowQueue, shadowValues, type Treatment } from "./job.ts";

export interface ShadowQueueOptions<Env> {
  /** The replica that holds both variants. */
  replicaOf(env: Env, variant: string): Replica;
  /** Records outcomes, each once however often it comes. */
  record(env: Env, outcomes: readonly ShadowOutcome[]): Promise<void>;
  readonly log: (entry: object) => void;
}

/** Most jobs that wait; later ones are not taken, so that the sample stays one of the time before. */
const MAX_WAITING = 256;
/** Longest job, in characters: a value of the storage is at most 2 MB. */
const MAX_JOB = 1_000_000;
/** Each wait is twice as long as the one before, up to the longest: for a replica that has no time, and for one that cannot be asked. */
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = { busy: 1_000, away: 10_000 } as const;
/** A job that met this many errors, each after a longer wait, is given up: it must not hold up the others. */
const MAX_FAILURES = 8;
/** Comparisons that are done in one go: then others that call the object get their turn. */
const AT_ONCE = 8;

/** A job, with the treatments that it was not run through yet. */
type Waiting = { readonly seq: number; readonly json: string; readonly failures: number };

/** @returns the class, to be exported by the Worker's entry */
export const createShadowQueueClass = <Env>({ replicaOf, record, log }: ShadowQueueOptions<Env>) =>
  class ShadowQueueObject extends DurableObject<Env> implements ShadowQueue {
    readonly sql: SqlStorage;
    /** Since the last comparison. */
    waits = 0;

    constructor(state: DurableObjectState, env: Env) {
      super(state, env);
      this.sql = state.storage.sql;
      this.sql.exec(`CREATE TABLE IF NOT EXISTS jobs
        (seq INTEGER PRIMARY KEY, json TEXT NOT NULL, until INTEGER NOT NULL, failures INTEGER NOT NULL DEFAULT 0)`);
    }

    async add(job: ShadowJob): Promise<boolean> {
      const json = JSON.stringify(job);
      this.dropLate();
      const { jobs } = this.sql.exec<{ jobs: number }>("SELECT count(*) AS jobs FROM jobs").one();
      if (jobs >= MAX_WAITING || json.length > MAX_JOB) return false;
      this.sql.exec("INSERT INTO jobs (json, until) VALUES (?, ?)", json, job.until);
      if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now());
      return true;
    }

    override async alarm(): Promise<void> {
      let waitMs = 0;
      for (let i = 0; i < AT_ONCE && waitMs === 0; i++) {
        this.dropLate();
        const [next] = this.sql.exec<Waiting>("SELECT * FROM jobs ORDER BY seq LIMIT 1").toArray();
        if (!next) return;
        const obstacle = await this.score(next);
        if (obstacle) waitMs = Math.min(FIRST_WAIT_MS * 2 ** this.waits++, LONGEST_WAIT_MS[obstacle]);
        else this.waits = 0;
      }
      await this.ctx.storage.setAlarm(Date.now() + waitMs);
    }

    /** Runs a job through its next treatment. @returns why that has to wait, if it has */
    async score({ seq, json, failures }: Waiting): Promise<keyof typeof LONGEST_WAIT_MS | undefined> {
      const job = JSON.parse(json) as ShadowJob;
      const [treatment, ...others] = job.treatments;
      try {
        if (treatment && !(await this.compare(job, treatment))) return "busy";
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        log({ event: "shadow_waiting", requestId: job.request, failures: failures + 1, message });
        if (failures + 1 < MAX_FAILURES) {
          this.sql.exec("UPDATE jobs SET failures = failures + 1 WHERE seq = ?", seq);
          return "away";
        }
      }
      const rest = JSON.stringify({ ...job, treatments: others });
      if (others.length === 0) this.sql.exec("DELETE FROM jobs WHERE seq = ?", seq);
      else this.sql.exec("UPDATE jobs SET json = ?, failures = 0 WHERE seq = ?", rest, seq);
      return undefined;
    }

    /** @returns false when the replica has no time for it */
    async compare(job: ShadowJob, treatment: Treatment): Promise<boolean> {
      const { request: requestId, reference, promptIds, replyIds, scope } = job;
      const { variant } = treatment;
      const replica = replicaOf(this.env, reference);
      const told = await replica.compare({ requestId, reference, variant, promptIds, replyIds, scope });
      if (told.state === "busy") return false;
      if (told.state === "failed") {
        log({ event: "shadow_failed", requestId, reference, variant, message: told.message });
        return true;
      }
      const { experiment, epoch, unit, arm, request, begunAt } = job;
      const place = { experiment, epoch, unit, arm, request, begunAt, at: Date.now() };
      const outcomes = shadowValues(treatment.arm, told).map(([metric, value]) => ({ ...place, metric, value }));
      await record(this.env, outcomes);
      log({ event: "shadow_scored", requestId, reference, variant, tokens: told.tokens });
      return true;
    }

    dropLate(): void {
      this.sql.exec("DELETE FROM jobs WHERE until < ?", Date.now());
    }
  };
