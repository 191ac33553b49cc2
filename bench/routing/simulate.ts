// Requests in simulated time: with the real router, or with variants that are fixed beforehand.
import { type Budget, NO_BUDGET, timeLeft } from "../../src/routing/budget.ts";
import { type Costs, costsOf, prefillTime, stepTime } from "../../src/routing/costs.ts";
import type { QualityBook } from "../../src/routing/quality.ts";
import type { Policy } from "../../src/routing/question.ts";
import { createRouter, type Router } from "../../src/routing/router.ts";
import { newState, type RouterState } from "../../src/routing/state.ts";
import { learnReport } from "../../src/routing/store.ts";
import type { Catalogue } from "../../src/variants/catalogue.ts";
import type { LoadRequest } from "./load.ts";
import { createSimulatedReplica, type Machine } from "./replica.ts";
import type { Idle, Outcome } from "./verdict.ts";

/** A request with the time when it comes and what it is allowed. */
export interface Arrival {
  readonly at: number;
  readonly request: LoadRequest;
  readonly budget: Partial<Budget>;
}

export interface World {
  readonly catalogue: Catalogue;
  readonly machine: Machine;
  readonly seed: number;
}

const known = new WeakMap<Catalogue, ReadonlyMap<string, Costs>>();
function allCosts(catalogue: Catalogue): ReadonlyMap<string, Costs> {
  const costs = known.get(catalogue) ?? new Map([...catalogue].map(([id, { plan }]) => [id, costsOf(plan)]));
  known.set(catalogue, costs);
  return costs;
}

export function idleOn(catalogue: Catalogue, machine: Machine): Idle {
  const all = allCosts(catalogue);
  return ({ promptTokens, maxTokens }, variant) => {
    const costs = all.get(variant)!;
    const factor = machine.misfit?.(variant) ?? 1;
    const ttft = (machine.overheadMs ?? 0) + factor * prefillTime(costs, promptTokens, machine);
    const steps = maxTokens - 1;
    const tpot = factor * machine.decode * stepTime(costs, promptTokens + maxTokens / 2);
    return { ttft, tpot: steps > 0 ? tpot : 0, latency: ttft + steps * tpot };
  };
}

/** One outcome for each arrival, answered by the variant of the same place. Deterministic: a step's time depends on its request alone. */
export function replayFixed(
  { catalogue, machine, seed }: World,
  arrivals: readonly Arrival[],
  variantOf: (index: number) => string,
  first = 0,
): Outcome[] {
  const costs = allCosts(catalogue);
  const replica = createSimulatedReplica(machine);
  const outcomes: Outcome[] = new Array(arrivals.length);
  for (const [i, { at, request, budget }] of arrivals.entries()) {
    replica.runUntil(at);
    const variant = variantOf(i);
    replica.submit(
      {
        request,
        variant,
        costs: costs.get(variant)!,
        allowed: timeLeft({ ...NO_BUDGET, ...budget }, 0),
        seed: seed + first + i,
        onEnd(times, now) {
          outcomes[i] = { variant, ...times, endedAt: now };
        },
      },
      at,
    );
  }
  replica.runUntil(Number.POSITIVE_INFINITY);
  return outcomes;
}

export interface SimulationOptions extends World {
  readonly qualities: QualityBook;
  readonly arrivals: readonly Arrival[];
  /** The variant to use; undefined leaves it to the router. Default: always. */
  choose?(index: number): string | undefined;
  readonly quantile?: number;
  readonly policy?: Policy;
  /** What has been learnt before. Default: nothing. */
  readonly state?: RouterState;
}

/** One outcome per request as the router decides, and what it has learnt. Deterministic. */
export async function simulate(
  options: SimulationOptions,
): Promise<{ outcomes: Outcome[]; state: RouterState; router: Router }> {
  const { catalogue, machine, arrivals, seed } = options;
  let clock = 0;
  const { state = newState() } = options;
  const router = simulatedRouter(options, state, () => clock);
  const replica = createSimulatedReplica(machine);
  const costs = allCosts(catalogue);
  const base = [...catalogue.values()][0]?.plan.base.id ?? "";
  const outcomes: Outcome[] = new Array(arrivals.length);
  let pending: Promise<unknown>[] = [];
  const waitUntil = (promise: Promise<unknown>): void => void pending.push(promise);
  const settle = async (): Promise<void> => {
    const due = pending;
    pending = [];
    await Promise.all(due);
  };
  for (const [index, { at, request, budget }] of arrivals.entries()) {
    replica.runUntil(at);
    await settle();
    clock = at;
    const { promptTokens, maxTokens } = request;
    const asked = { ...NO_BUDGET, ...budget };
    const routed = await router.route(
      {
        requestId: `request ${index}`,
        key: "bench",
        model: "auto",
        pinned: options.choose?.(index),
        base,
        promptTokens,
        maxTokens,
        mayShorten: false,
        budget: asked,
        elapsedMs: 0,
      },
      waitUntil,
    );
    if (!routed) throw new Error(`request ${index} has no variant`);
    routed.sent();
    routed.told({ state: "ready", engine: "wasm", queued: replica.queued, running: replica.running });
    const { variant, rule, chosen } = routed.decision;
    const { predicted_ms: told } = routed.record;
    const predicted = { ttft: told.ttft.budgeted, tpot: told.tpot.budgeted, latency: told.latency.budgeted };
    replica.submit(
      {
        request,
        variant,
        costs: costs.get(variant)!,
        allowed: timeLeft(asked, 0),
        seed: seed + index,
        onToken(now) {
          clock = now;
          routed.token();
        },
        onEnd(times, now) {
          clock = now;
          outcomes[index] = { variant, rule, predicted, inTime: chosen.inTime, ...times, endedAt: now };
          routed.ended({ complete: true, readerMs: 0 });
        },
      },
      at,
    );
    await settle();
  }
  replica.runUntil(Number.POSITIVE_INFINITY);
  await settle();
  return { outcomes, state, router };
}

function simulatedRouter(options: SimulationOptions, state: RouterState, now: () => number): Router {
  return createRouter({
    catalogue: options.catalogue,
    qualities: options.qualities,
    quarantined: async () => new Set(),
    quantile: options.quantile ?? 0.95,
    ...(options.policy ? { policy: options.policy } : {}),
    now,
    newId: () => String(now()),
    onAway(error) {
      throw error;
    },
    archive: { keep: async () => {}, find: async () => undefined },
    store: () => ({
      snapshot: async () => structuredClone(state),
      async report(reports) {
        for (const report of reports) learnReport(state, report, now());
      },
      find: async () => undefined,
    }),
  });
}
