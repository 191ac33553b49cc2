// The Durable Object that keeps the buckets of one key: all isolates take from the same ones.
import { DurableObject } from "cloudflare:workers";
import { type Amounts, type Buckets, type Limits, take, type Verdict } from "./bucket.ts";
import type { LimitStore } from "./limiter.ts";

const BUCKETS = "buckets";

export class LimiterObject extends DurableObject<unknown> implements LimitStore {
  #buckets: Buckets = {};

  constructor(context: DurableObjectState, env: unknown) {
    super(context, env);
    context.blockConcurrencyWhile(async () => {
      this.#buckets = (await context.storage.get<Buckets>(BUCKETS)) ?? {};
    });
  }

  async take(limits: Limits, amounts: Amounts): Promise<Verdict> {
    const { buckets, verdict } = take(this.#buckets, limits, amounts, Date.now());
    this.#buckets = buckets;
    // What is lost with the machine is a minute's count: no request waits for the disk.
    this.ctx.storage.put(BUCKETS, buckets, { allowUnconfirmed: true });
    return verdict;
  }
}
