// Runs one background response, when its turn has come among those of its key. A Durable Object with an alarm: `waitUntil` would end half a
// minute after the reply, an alarm is called until it succeeds, over restarts and evictions too.
import { DurableObject } from "cloudflare:workers";
import type { BackgroundLine } from "../limits/index.ts";
import type { ResponseObject } from "../openai/index.ts";
import { JobError, type ResponseJob, type ResponseRunner, type RunJob } from "./runner.ts";
import type { ResponseStore } from "./store.ts";

export interface RunnerOptions<Env> {
  readonly run: (env: Env, ...job: Parameters<RunJob>) => ReturnType<RunJob>;
  store(env: Env): ResponseStore;
  /** Where a key's background responses stand in line. */
  lineOf(env: Env, keyId: string): BackgroundLine;
  /** The object of another response. */
  runnerOf(env: Env, id: string): Pick<ResponseRunner, "resume">;
}

/** A job that was refused for the moment, or broken off by a restart, is begun again this many times in all. */
const MAX_ATTEMPTS = 6;
/** Each wait is twice as long as the one before, up to the longest. */
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 5 * 60_000;

/** One that stands in line is told when its turn comes, and asks by itself this long after it asked last. */
const IN_LINE_MS = 60_000;

/** A job that is told when there will be room waits for it, this many times, and loses no attempt. */
const MAX_REFUSALS = 240;

/** What is not kept under a key of its own. */
type KeptJob = Omit<ResponseJob, "conversation" | "body">;

/** @returns the class, to be exported by the Worker's entry */
export const createRunnerClass = <Env>({ run, store, lineOf, runnerOf }: RunnerOptions<Env>) =>
  class ResponseRunnerObject extends DurableObject<Env> implements ResponseRunner {
    running: AbortController | undefined;

    async start({ conversation, body, ...job }: ResponseJob): Promise<void> {
      // A value of the storage is at most 2 MB.
      await this.ctx.storage.put({ job, conversation, body });
      await this.ctx.storage.setAlarm(Date.now());
    }

    async cancel(): Promise<void> {
      this.running?.abort(new Error("the response was cancelled"));
      const job = await this.ctx.storage.get<KeptJob>("job");
      await this.ctx.storage.deleteAlarm();
      await this.ctx.storage.deleteAll();
      if (job) await this.leave(job);
    }

    async resume(): Promise<void> {
      if (await this.ctx.storage.get("job")) await this.ctx.storage.setAlarm(Date.now());
    }

    /** Whether its turn has come; it has when nobody knows. */
    async enter({ access, response }: KeptJob): Promise<boolean> {
      return lineOf(this.env, access.keyId)
        .enter(response.id)
        .catch(() => true);
    }

    async leave({ access, response }: KeptJob): Promise<void> {
      const next = await lineOf(this.env, access.keyId)
        .leave(response.id)
        .catch(() => []);
      await Promise.allSettled(next.map((id) => runnerOf(this.env, id).resume()));
    }

    override async alarm(): Promise<void> {
      const { storage } = this.ctx;
      const job = await storage.get<KeptJob>("job");
      if (!job) return;
      if (!(await this.enter(job))) return storage.setAlarm(Date.now() + IN_LINE_MS * (1 + Math.random()));
      const attempts = ((await storage.get<number>("attempts")) ?? 0) + 1;
      await storage.put("attempts", attempts);
      try {
        const result = (await storage.get<ResponseObject>("result")) ?? (await this.attempt(job, attempts));
        if (!result) return;
        await storage.put("result", result);
        await store(this.env).update(result);
        await storage.deleteAll();
        await this.leave(job);
      } catch (error) {
        let waitMs = Math.min(FIRST_WAIT_MS * 2 ** attempts, LONGEST_WAIT_MS);
        const refusals = (await storage.get<number>("refusals")) ?? 0;
        if (error instanceof JobError && error.retryMs !== undefined && refusals < MAX_REFUSALS) {
          await storage.put({ attempts: attempts - 1, refusals: refusals + 1 });
          // Those that were refused together do not come back together.
          waitMs = error.retryMs * (1 + Math.random());
        }
        await storage.setAlarm(Date.now() + waitMs);
        const message = error instanceof Error ? error.message : String(error);
        console.error(JSON.stringify({ event: "response_waiting", attempts, waitMs, message }));
      }
    }

    /**
     * @returns the response, complete or failed; undefined when it was cancelled
     * @throws Error when it is to be tried again
     */
    async attempt(kept: KeptJob, attempts: number): Promise<ResponseObject | undefined> {
      const { storage } = this.ctx;
      const { response } = kept;
      const failed = (code: NonNullable<ResponseObject["error"]>["code"], message: string): ResponseObject => ({
        ...response,
        status: "failed",
        error: { code, message },
      });
      if (attempts > MAX_ATTEMPTS) return failed("server_error", "The response could not be finished.");
      const running = new AbortController();
      this.running = running;
      const job: ResponseJob = {
        ...kept,
        conversation: (await storage.get<ResponseJob["conversation"]>("conversation")) ?? [],
        body: (await storage.get<string>("body")) ?? "{}",
      };
      // No matter if D1 is away: the client then sees it queued a little longer.
      await store(this.env)
        .update({ ...response, status: "in_progress" })
        .catch(() => {});
      if (running.signal.aborted) return undefined;
      try {
        const waitUntil = (promise: Promise<unknown>): void => this.ctx.waitUntil(promise);
        const result = await run(this.env, job, { signal: running.signal, waitUntil });
        return running.signal.aborted ? undefined : result;
      } catch (error) {
        if (running.signal.aborted) return undefined;
        if (!(error instanceof JobError)) throw error;
        if (error.retryMs !== undefined || (error.retry && attempts < MAX_ATTEMPTS)) throw error;
        return failed(error.code, error.message);
      }
    }
  };
