// A replica in simulated time: the router and whose turn it is are the real ones, the engine is its costs on a machine that the router
// does not know.
import { dueAt, mostUrgent, placesFor, turnOf, type Waiting } from "../../src/engine/turns.ts";
import { MAX_RUNNING } from "../../src/replica/limits.ts";
import { type Budget, NO_BUDGET, timeLeft } from "../../src/routing/budget.ts";
import { costsOf, stepTime } from "../../src/routing/costs.ts";
import type { QualityBook } from "../../src/routing/quality.ts";
import type { Policy } from "../../src/routing/question.ts";
import type { Routed } from "../../src/routing/routed.ts";
import { createRouter, type Router } from "../../src/routing/router.ts";
import { newState, type RouterState } from "../../src/routing/state.ts";
import { learnReport } from "../../src/routing/store.ts";
import type { Catalogue } from "../../src/variants/catalogue.ts";
import type { LoadRequest } from "./load.ts";
import { random } from "./random.ts";
import type { Idle, Outcome } from "./verdict.ts";

/** Milliseconds of work to those of the reference machine; the router has to find out. */
export interface Machine {
  readonly prefill: number;
  readonly decode: number;
  /** How far off a variant's costs are. Default: not at all. */
  misfit?(variant: string): number;
  /** Standard deviation of the logarithm of each step's time. */
  readonly noise: number;
}

export interface SimulationOptions {
  readonly catalogue: Catalogue;
  readonly qualities: QualityBook;
  readonly machine: Machine;
  readonly requests: readonly LoadRequest[];
  readonly arrivals: readonly number[];
  budgetOf(request: LoadRequest): Partial<Budget>;
  /** The variant to use; undefined leaves it to the router. */
  choose(index: number): string | undefined;
  readonly seed: number;
  readonly quantile?: number;
  readonly policy?: Policy;
}

/** Prompt tokens that a round takes in, as the WebAssembly engine does. */
const CHUNK = 64;
/** A step that gives way to something more urgent does so after this many milliseconds, about. */
const GIVE_WAY_MS = 10;

export function idleOn(catalogue: Catalogue, machine: Machine): Idle {
  return ({ promptTokens, maxTokens }, variant) => {
    const costs = costsOf(catalogue.get(variant)!.plan);
    const factor = machine.misfit?.(variant) ?? 1;
    const { prefillMs, contextMs, decodeMs } = costs;
    const ttft =
      factor *
      (machine.prefill * (promptTokens * prefillMs + (promptTokens ** 2 / 2) * contextMs - prefillMs) +
        machine.decode * decodeMs);
    const steps = maxTokens - 1;
    const tpot = factor * machine.decode * stepTime(costs, promptTokens + maxTokens / 2);
    return { ttft, tpot: steps > 0 ? tpot : 0, latency: ttft + steps * tpot };
  };
}

interface Entry extends Waiting {
  readonly index: number;
  readonly request: LoadRequest;
  readonly variant: string;
  readonly routed: Routed;
  readonly sentAt: number;
  steppedAt: number;
  prefilled: number;
  tokens: number;
  firstAt: number | undefined;
  /** Its last step was broken off. */
  interrupted: boolean;
}

/** What a step would come to. */
interface Step {
  readonly ms: number;
  readonly entries: readonly Entry[];
  readonly mayGiveWay: boolean;
  commit(): void;
}

/** One outcome per request, and what the router has learnt. Deterministic. */
export async function simulate(
  options: SimulationOptions,
): Promise<{ outcomes: Outcome[]; state: RouterState; router: Router }> {
  const { catalogue, machine, requests, arrivals } = options;
  const next = random(options.seed);
  let clock = 0;
  const state = newState();
  const router = createRouter({
    catalogue,
    qualities: options.qualities,
    quarantined: async () => new Set(),
    quantile: options.quantile ?? 0.95,
    ...(options.policy ? { policy: options.policy } : {}),
    now: () => clock,
    newId: () => String(clock),
    onAway(error) {
      throw error;
    },
    archive: { keep: async () => {}, find: async () => undefined },
    store: () => ({
      snapshot: async () => structuredClone(state),
      async report(reports) {
        for (const report of reports) learnReport(state, report, clock);
      },
      find: async () => undefined,
    }),
  });
  const costs = new Map([...catalogue].map(([id, { plan }]) => [id, costsOf(plan)]));
  const base = [...catalogue.values()][0]?.plan.base.id ?? "";
  const outcomes: Outcome[] = new Array(requests.length);
  const queue: Entry[] = [];
  let running: Entry[] = [];
  let pending: Promise<unknown>[] = [];
  const waitUntil = (promise: Promise<unknown>): void => void pending.push(promise);
  const settle = async (): Promise<void> => {
    const due = pending;
    pending = [];
    await Promise.all(due);
  };

  async function arrive(index: number): Promise<void> {
    const request = requests[index] as LoadRequest;
    clock = arrivals[index] as number;
    const budget = { ...NO_BUDGET, ...options.budgetOf(request) };
    const routed = await router.route(
      {
        requestId: `request ${index}`,
        key: "bench",
        model: "auto",
        pinned: options.choose(index),
        base,
        promptTokens: request.promptTokens,
        maxTokens: request.maxTokens,
        mayShorten: false,
        budget,
        elapsedMs: 0,
      },
      waitUntil,
    );
    if (!routed) throw new Error(`request ${index} has no variant`);
    routed.sent();
    routed.told({ state: "ready", engine: "wasm", queued: queue.length, running: running.length });
    const { variant } = routed.decision;
    const [sentAt, { maxTokens }, allowed] = [clock, request, timeLeft(budget, 0)];
    const entry: Entry = {
      ...{ index, request, variant, routed, sentAt, steppedAt: sentAt },
      ...{ prefilled: 0, tokens: 0, firstAt: undefined, interrupted: false },
      due: (now) => dueAt({ allowed, askedAt: sentAt, firstAt: entry.firstAt, tokens: entry.tokens, maxTokens }, now),
    };
    queue.push(entry);
    await settle();
  }

  /** The next step: of those whose turn it is, each that decodes and a chunk of one prompt. */
  function nextStep(): Step {
    const turn = turnOf(running, clock);
    const prefilling = turn.find(({ request, prefilled }) => prefilled < request.promptTokens);
    const entries: Entry[] = [];
    const commits: (() => void)[] = [];
    let ms = 0;
    for (const entry of turn) {
      const cost = costs.get(entry.variant)!;
      const factor = (machine.misfit?.(entry.variant) ?? 1) * Math.exp(machine.noise * normal(next));
      const { promptTokens } = entry.request;
      const decodes = entry.prefilled === promptTokens;
      if (!decodes && entry !== prefilling) continue;
      entries.push(entry);
      const chunk = decodes ? 0 : Math.min(CHUNK, promptTokens - entry.prefilled);
      const ends = entry.prefilled + chunk === promptTokens;
      if (decodes) ms += factor * machine.decode * stepTime(cost, promptTokens + entry.tokens);
      else {
        ms += factor * machine.prefill * chunk * (cost.prefillMs + (entry.prefilled + chunk / 2) * cost.contextMs);
        if (ends) ms += factor * (machine.decode * cost.decodeMs - machine.prefill * cost.prefillMs);
      }
      commits.push(() => {
        entry.prefilled += chunk;
        if (ends) entry.tokens++;
      });
    }
    return {
      ms,
      entries,
      mayGiveWay: prefilling !== undefined && entries.every(({ interrupted }) => !interrupted),
      commit() {
        for (const commit of commits) commit();
      },
    };
  }

  let arrived = 0;
  while (arrived < requests.length || running.length > 0 || queue.length > 0) {
    if (running.length === 0 && queue.length === 0) await arrive(arrived++);
    while (queue.length > 0) {
      const first = mostUrgent(queue, clock) ?? (queue[0] as Entry);
      if (running.length >= placesFor(first.due(clock), MAX_RUNNING)) break;
      queue.splice(queue.indexOf(first), 1);
      running.push(first);
    }
    const { ms, entries, mayGiveWay, commit } = nextStep();
    const due = Math.min(...entries.map((entry) => entry.due(clock)));
    let end = clock + ms;
    let givesWay = false;
    while (arrived < requests.length && (arrivals[arrived] as number) <= end) {
      await arrive(arrived++);
      const asked = queue.at(-1) as Entry;
      const askedDue = asked.due(clock);
      if (givesWay || !mayGiveWay || askedDue >= due || running.length >= placesFor(askedDue, MAX_RUNNING)) continue;
      givesWay = true;
      end = Math.min(end, clock + GIVE_WAY_MS);
    }
    clock = end;
    for (const entry of entries) entry.interrupted = givesWay;
    if (givesWay) continue;
    const before = entries.map(({ tokens }) => tokens);
    commit();
    for (const [i, entry] of entries.entries()) {
      entry.steppedAt = clock;
      if (entry.tokens === before[i]) continue;
      entry.routed.token();
      entry.firstAt ??= clock;
      if (entry.tokens < entry.request.maxTokens) continue;
      const { index, variant, routed, sentAt, firstAt, tokens } = entry;
      const [latency, ttft] = [clock - sentAt, firstAt - sentAt];
      outcomes[index] = { variant, ttft, latency, tpot: tokens > 1 ? (latency - ttft) / (tokens - 1) : 0 };
      routed.ended({ complete: true, readerMs: 0 });
    }
    running = running.filter(({ tokens, request }) => tokens < request.maxTokens);
    await settle();
  }
  return { outcomes, state, router };
}

const normal = (next: () => number): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
