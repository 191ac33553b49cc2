// The Durable Object of one key: all isolates take from the same buckets, and its background responses stand in one line.
import { DurableObject } from "cloudflare:workers";
import { MAX_RUNNING } from "../scheduler/index.ts";
import { type Amounts, type Buckets, type Limits, take, type Verdict } from "./bucket.ts";
import type { BackgroundLine, LimitStore } from "./limiter.ts";
import { createSlots, type Slots } from "./slots.ts";

const BUCKETS = "buckets";
/** Longer than a response takes, and than it waits before it asks again. */
const LEASE_MS = 15 * 60_000;
/** Background responses of a key that stand in line. */
const MOST_WAITING = 1_000;

export class LimiterObject extends DurableObject<unknown> implements LimitStore, BackgroundLine {
  #buckets: Buckets = {};
  /** What is lost of it with the machine, the responses ask for again. */
  readonly #slots: Slots = createSlots({
    most: MAX_RUNNING,
    mostWaiting: MOST_WAITING,
    leaseMs: LEASE_MS,
    now: Date.now,
  });

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

  async join(id: string): Promise<boolean> {
    return this.#slots.join(id);
  }

  async enter(id: string): Promise<boolean> {
    return this.#slots.enter(id);
  }

  async leave(id: string): Promise<string[]> {
    return this.#slots.leave(id);
  }
}
