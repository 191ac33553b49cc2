// What a router brings that knows the machine and what loads are like, but not the future. It tries
// each variant for the request at hand in many futures that are as likely as the real one, and
// takes the variant that is most useful in them, to all requests together (rollouts: Bertsekas and
// Castañon, Rollout Algorithms for Stochastic Scheduling Problems, Journal of Heuristics 5(1),
// 1999). Futures are pieces of the load itself, so that it knows the load better than any router
// could.
import { mulberry32 } from "../../evaluation/random.ts";
import { NO_BUDGET, timeLeft } from "../../src/routing/budget.ts";
import { costsOf } from "../../src/routing/costs.ts";
import { optionsOf } from "./foresight.ts";
import { createSimulatedReplica, type Job, type SimulatedReplica } from "./replica.ts";
import type { Arrival, World } from "./simulate.ts";
import { type Case, type Outcome, paired, type Scene, type Times, usefulness } from "./verdict.ts";

export interface Lookahead {
  /** Futures that variants are tried in, at most: one that falls behind is dropped. */
  readonly futures: number;
  /** The time of each step of what has come is known, whatever its noise. */
  readonly knowsTimes: boolean;
}

/** Requests that come in a future. */
const LATER = 10;
/** In a future, a request is answered by the best variant that is in time by this factor, as far as can be told. */
const MARGIN = 1.08;
/** Beyond all seeds of the real requests. */
const MADE_UP = 1e6;
/** Futures between two looks at who falls behind, and standard errors by which one does. */
const ROUND = 8;
const BEHIND = 2;

/** A request as the futures see it. */
interface Player {
  readonly entry: Case;
  readonly arrival: Arrival;
  /** The variants that may be best for it. Best first, each faster than those before. */
  readonly options: readonly { readonly variant: string; readonly times: Times }[];
}

export function lookAhead(
  world: World,
  scene: Scene,
  cases: readonly Case[],
  arrivals: readonly Arrival[],
  { futures, knowsTimes }: Lookahead,
): Outcome[] {
  const costs = new Map(scene.variants.map((variant) => [variant, costsOf(world.catalogue.get(variant)!.plan)]));
  const players = cases.map((entry, i): Player => {
    const options = optionsOf(scene, entry).map((variant) => ({ variant, times: scene.idle(entry.request, variant) }));
    return { entry, arrival: arrivals[i] as Arrival, options };
  });
  const worth = ({ entry }: Player, variant: string, times: Times): number =>
    entry.counts ? usefulness(scene.qualities, entry, { variant, ...times }) : 0;
  const jobOf = ({ arrival }: Player, variant: string, seed: number, onEnd: Job["onEnd"]): Job => ({
    request: arrival.request,
    variant,
    costs: costs.get(variant)!,
    seed,
    onEnd,
    allowed: timeLeft({ ...NO_BUDGET, ...arrival.budget }, 0),
  });
  const replica = createSimulatedReplica(world.machine);
  const outcomes: Outcome[] = new Array(arrivals.length);
  const underWay = new Map<Job, Player>();
  const next = mulberry32(world.seed);

  /** How useful all are together that are there or come, in a future that begins after `from` as the load does. */
  const valueIn = (me: Player, index: number, variant: string, from: number, seed: number): number => {
    let sum = 0;
    let made = seed;
    const count = (player: Player, chosen: string, times: Times): void => {
      sum += worth(player, chosen, times);
    };
    const future = replica.fork({
      seedOf: () => (knowsTimes ? undefined : made++),
      onEnd: (job, times) => count(underWay.get(job) as Player, job.variant, times),
    });
    const submit = (player: Player, chosen: string, seedOfIt: number, now: number): void => {
      future.submit(
        jobOf(player, chosen, seedOfIt, (times) => count(player, chosen, times)),
        now,
      );
    };
    const now = me.arrival.at;
    submit(me, variant, knowsTimes ? world.seed + index : made++, now);
    const start = players[from]?.arrival.at as number;
    for (const player of players.slice(from + 1, from + 1 + LATER)) {
      const at = now + player.arrival.at - start;
      future.runUntil(at);
      submit(player, likely(future, player, at), made++, at);
    }
    future.runUntil(Number.POSITIVE_INFINITY);
    return sum;
  };

  for (const [i, me] of players.entries()) {
    const { at } = me.arrival;
    replica.runUntil(at);
    const variant = bestOf(
      me.options.map((option) => option.variant),
      futures,
      (k) => {
        const from = Math.floor(next() * Math.max(1, players.length - LATER));
        const seed = MADE_UP + 1000 * (i * futures + k);
        return (tried) => valueIn(me, i, tried, from, seed);
      },
    );
    const job = jobOf(me, variant, world.seed + i, (times, now) => {
      outcomes[i] = { variant, ...times, endedAt: now };
      underWay.delete(job);
    });
    underWay.set(job, me);
    replica.submit(job, at);
  }
  replica.runUntil(Number.POSITIVE_INFINITY);
  return outcomes;
}

/**
 * The variant that brings most on average; of those that bring the same, the fastest.
 * @param variants each faster than those before
 * @param future the k-th: what a variant brings in it
 */
function bestOf(
  variants: readonly string[],
  futures: number,
  future: (k: number) => (variant: string) => number,
): string {
  let left = variants.map((variant) => ({ variant, values: [] as number[] }));
  for (let k = 0; k < futures && left.length > 1; k++) {
    const valueOfVariant = future(k);
    for (const { variant, values } of left) values.push(valueOfVariant(variant));
    if ((k + 1) % ROUND > 0) continue;
    const first = left.reduce(better);
    left = left.filter(({ values }) => {
      const { difference, se } = paired(first.values, values);
      return difference === 0 || difference <= BEHIND * se;
    });
  }
  return left.reduce(better).variant;
}

interface Tried {
  readonly variant: string;
  readonly values: readonly number[];
}
const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const better = <T extends Tried>(a: T, b: T): T => (sumOf(b.values) >= sumOf(a.values) ? b : a);

/** The variant that answers a request of a future: the best that is likely in time, or else the fastest. */
function likely(replica: SimulatedReplica, { arrival, options }: Player, now: number): string {
  const { latencyMs, ttftMs, tpotMs } = { ...NO_BUDGET, ...arrival.budget };
  const waiting = replica.ahead(now + (latencyMs ?? ttftMs ?? Number.POSITIVE_INFINITY), now);
  const fits = ({ times }: Player["options"][number]): boolean =>
    waiting + MARGIN * times.latency <= (latencyMs ?? Number.POSITIVE_INFINITY) &&
    waiting + MARGIN * times.ttft <= (ttftMs ?? Number.POSITIVE_INFINITY) &&
    MARGIN * times.tpot <= (tpotMs ?? Number.POSITIVE_INFINITY);
  return (options.find(fits) ?? (options.at(-1) as Player["options"][number])).variant;
}
