// Routing in the gateway: puts the question together from what this isolate knows, and passes on what came out of it.
import type { Catalogue } from "../variants/index.ts";
import type { Archive } from "./archive.ts";
import { type Budget, hasLimit, timeLeft } from "./budget.ts";
import { costsOf } from "./costs.ts";
import { type Decision, decide } from "./decide.ts";
import {
  COMPANIES,
  knownOf,
  LEVELS,
  leftOf,
  METRICS,
  type Overtaking,
  type PerMetric,
  type Prediction,
  type Profile,
  predict,
  profileOf,
  record,
  sharesOf,
  timeAt,
  type Work,
} from "./latency.ts";
import { exactly, lengthsOf } from "./length.ts";
import { lightersOf } from "./lighter.ts";
import { loadOf } from "./load.ts";
import { type Crowding, crowdingOf, overtakingOf } from "./others.ts";
import type { Measure, QualityBook } from "./quality.ts";
import type { Candidate, Policy } from "./question.ts";
import { type DecisionRecord, recordOf } from "./record.ts";
import { followRequest, type ReplicaNews, type Routed } from "./routed.ts";
import { createSnapshot } from "./snapshot.ts";
import { calibrationOf, type RouterState } from "./state.ts";
import type { KeptDecision, RouterStore } from "./store.ts";
import { type Board, createBoard } from "./under-way.ts";

/** Decisions and last choices that an isolate remembers. */
const MOST_REMEMBERED = 500;
/** A last choice holds off a better one this long. */
const INCUMBENT_MS = 60_000;

type WaitUntil = (promise: Promise<unknown>) => void;

export interface RouterOptions {
  readonly catalogue: Catalogue;
  /** Found anew for each call. */
  store(): RouterStore;
  readonly archive: Archive;
  readonly qualities: QualityBook;
  /** Variants that `auto` must not use. */
  quarantined(waitUntil: WaitUntil): Promise<{ has(variant: string): boolean }>;
  /** Probability with which a strict budget is to be kept that names none, and of the predictions that are told. */
  readonly quantile: number;
  readonly policy?: Policy;
  now(): number;
  newId(): string;
  onAway(error: unknown): void;
}

/** The arm of an experiment that a request is in. */
export interface RoutedArm {
  readonly experiment: NonNullable<DecisionRecord["experiment"]>;
  /** Answers wherever it has room and keeps the budget; undefined for an arm that is a way to choose. */
  readonly variant: string | undefined;
  /** What variants are ranked by. Default: as the budget says. */
  readonly measure: Measure | undefined;
}

export interface RouteRequest {
  readonly requestId: string;
  /** Whose request it is: an id of the key, never the key. */
  readonly key: string;
  /** As the request has it. */
  readonly model: string;
  /** The variant to use; undefined to choose among those of `base` and of all weight sets that are loaded beside it. */
  readonly pinned: string | undefined;
  /** Weight set of the variant to use, or the first to choose from. */
  readonly base: string;
  readonly promptTokens: number;
  readonly maxTokens: number;
  /** `maxTokens` is only a default. */
  readonly mayShorten: boolean;
  readonly budget: Budget;
  readonly arm?: RoutedArm | undefined;
  /** Milliseconds since the request came. */
  readonly elapsedMs: number;
}

export interface Router {
  /**
   * Decides. Undefined when no variant has room for the request. Waits for nothing once this isolate
   * has a copy of what was learnt and of the list of quarantined variants.
   */
  route(request: RouteRequest, waitUntil: WaitUntil): Promise<Routed | undefined>;
  /** A replica told of itself when it was asked for a weight set. */
  told(weightsId: string, news: ReplicaNews): void;
  /** Most tokens of prompt and reply together that a variant, or any of those to choose from, has room for, as far as is known. */
  roomOf(base: string, variant?: string): number;
  /** Throws when D1 is away and neither this isolate nor the store has it. */
  find(id: string): Promise<KeptDecision | undefined>;
  /** What has been learnt, and what an idle machine is predicted to need for a prompt and a reply of `tokens` each. */
  report(waitUntil: WaitUntil, tokens: number): Promise<RoutingReport>;
}

export interface RoutingReport {
  readonly quantile: number;
  readonly variants: readonly {
    readonly variant: string;
    /** Weight of its own observations behind the prediction. */
    readonly observations: number;
    readonly predicted: PerMetric<{ readonly p50: number; readonly high: number }>;
    readonly calibration: ReturnType<typeof calibrationOf>;
  }[];
}

export function createRouter(options: RouterOptions): Router {
  const { catalogue, store, qualities, quantile, now } = options;
  const snapshot = createSnapshot(options);
  const variants = [...catalogue].map(([id, variant]) => ({ id, ...variant, costs: costsOf(variant.plan) }));
  const learntAs = learntBy(catalogue);
  const plans = new Map(variants.map(({ id, plan }) => [id, plan]));
  /** By replica, each named by its first weight set, as `homes` has it of the others. */
  const boards = new Map<string, Board>();
  const news = new Map<string, ReplicaNews>();
  const homes = new Map<string, string>();
  const kept = new Map<string, KeptDecision>();
  const incumbents = new Map<string, { readonly variant: string; readonly at: number }>();
  let compiled: Compiled | undefined;

  const homeOf = (weightsId: string): string => homes.get(weightsId) ?? weightsId;
  const boardOf = (base: string): Board => {
    const home = homeOf(base);
    const typical = variants.find(({ plan }) => plan.base.id === home)?.costs;
    if (!typical) throw new Error(`no variant has the base ${home}`);
    return remember(boards, home, boards.get(home) ?? createBoard(typical));
  };
  const hear = (weightsId: string, told: ReplicaNews): void => {
    const { weights = [weightsId] } = told;
    const [home = weightsId] = weights;
    for (const id of weights) homes.set(id, home);
    // One that moved out.
    if (!weights.includes(weightsId)) homes.delete(weightsId);
    news.set(home, told);
  };
  /** What a snapshot says, worked out once. */
  const compile = (state: RouterState, at: number): Compiled => {
    if (compiled?.at === at) return compiled;
    compiled = {
      at,
      profile: profileOf(state.latency, now(), learntAs),
      crowding: crowdingOf(state.arrivals, now()),
      overtaking: overtakingOf(state.arrivals, now()),
    };
    return compiled;
  };
  /** The variants of a weight set, and of all that its replica has loaded beside it. */
  const candidatesOf = (base: string, quarantined: { has(variant: string): boolean }): Candidate[] => {
    const { capacities, engine, weights } = news.get(homeOf(base)) ?? {};
    const isBeside = (id: string, own: string): boolean =>
      weights?.includes(own) === true && capacities?.[id] !== undefined;
    return variants
      .filter(({ id, plan }) => plan.base.id === base || isBeside(id, plan.base.id))
      .map(({ id, recipe, plan, costs }) => ({
        variant: id,
        costs,
        status: recipe.status,
        capacity: plan.onnx && engine !== "onnx" ? 0 : (capacities?.[id] ?? plan.contextLength),
        quarantined: quarantined.has(id),
      }));
  };

  return {
    async route(request, waitUntil) {
      const { requestId, key, base, budget, pinned, promptTokens, maxTokens, model, arm } = request;
      const high = budget.quantile ?? quantile;
      const id = `dec_${options.newId()}`;
      const [{ state, at }, quarantined] = await Promise.all([snapshot.get(waitUntil), options.quarantined(waitUntil)]);
      const { profile, crowding, overtaking } = compile(state, at);
      const board = boardOf(base);
      const load = board.load(now());
      const tokens = lengthsOf(state.lengths, key, maxTokens, high, now());
      const work: Work = { promptTokens, tokens, maxTokens, allowed: timeLeft(budget, request.elapsedMs) };
      const scope = `${key} ${JSON.stringify(budget)} ${arm ? JSON.stringify(arm.experiment) : ""}`;
      const last = incumbents.get(scope);
      const candidates = candidatesOf(base, quarantined);
      const needed = promptTokens + (request.mayShorten ? 1 : maxTokens);
      const choose = (only: string | undefined): Decision | undefined =>
        decide({
          // The request's own id may be the client's, who could choose to explore by it.
          requestId: id,
          work,
          needed,
          budget,
          elapsedMs: request.elapsedMs,
          candidates: only === undefined ? candidates : candidates.filter(({ variant }) => variant === only),
          load,
          profile,
          crowding,
          overtaking,
          qualities,
          quantile,
          pinned: only,
          measure: arm?.measure,
          incumbent: last && now() - last.at < INCUMBENT_MS ? last.variant : undefined,
          ...(options.policy ? { policy: options.policy } : {}),
        });
      const decision = ofArm(arm, candidates, needed, choose) ?? choose(pinned);
      if (!decision) return undefined;
      const { variant } = decision;
      if (pinned === undefined && hasLimit(budget) && decision.rule !== "explore") {
        remember(incumbents, scope, { variant, at: now() });
      }
      const { costs } = candidates.find((candidate) => candidate.variant === variant) as Candidate;
      const chosen = plans.get(variant)?.base.id ?? base;
      const prediction = predict(costs, knownOf(profile, variant), load, work, overtaking);
      const shares = sharesOf(high);
      const predicted = record(METRICS, (metric) =>
        record(LEVELS, (level) => timeAt(prediction, metric, shares[level])),
      );
      const made = recordOf({
        id,
        now: now(),
        requestId,
        model,
        budget,
        quantile: high,
        experiment: arm?.experiment ?? null,
        elapsedMs: request.elapsedMs,
        maxTokens,
        work,
        underWay: board.count,
        decision,
        predicted,
      });
      remember(kept, made.id, { key, record: made });
      const arrival = { dueMs: leftOf(work.allowed).first, losses: decision.losses };
      waitUntil(snapshot.report({ key, record: made, arrival }));

      return followRequest({
        key,
        decision,
        record: made,
        request,
        costs,
        load,
        profile,
        work,
        prediction,
        predicted,
        board,
        now,
        learntAs: learntAs(variant),
        lighterThan: (current) => {
          const context = promptTokens + work.tokens.p50 / 2;
          return lightersOf({ current, candidates, plans, qualities, budget, profile, context });
        },
        onNews: (status) => hear(chosen, status),
        onEnd(outcome) {
          remember(kept, made.id, outcome);
          waitUntil(snapshot.report(outcome));
          waitUntil(options.archive.keep(outcome));
        },
      });
    },
    told: hear,
    roomOf(base, variant) {
      const plan = variant === undefined ? undefined : plans.get(variant);
      if (!plan) return Math.max(...candidatesOf(base, new Set()).map(({ capacity }) => capacity));
      return Math.min(plan.contextLength, news.get(homeOf(base))?.capacities?.[plan.id] ?? plan.contextLength);
    },
    async find(id) {
      const near =
        kept.get(id) ??
        (await store()
          .find(id)
          .catch(() => undefined));
      return near ?? (await options.archive.find(id));
    },
    async report(waitUntil, tokens) {
      const { state, at } = await snapshot.get(waitUntil);
      const { profile } = compile(state, at);
      const idle = loadOf([]);
      const work = { promptTokens: tokens, tokens: exactly(tokens), maxTokens: tokens, allowed: {} };
      return {
        quantile,
        variants: variants.map(({ id, costs }) => ({
          variant: id,
          observations: COMPANIES.reduce((sum, company) => sum + profile.of(id)[company].latency.own, 0),
          predicted: predictedOf(predict(costs, knownOf(profile, id), idle, work), quantile),
          calibration: calibrationOf(state, learntAs(id)),
        })),
      };
    },
  };
}

/** Variants that compute the same take the same time: what is learnt of them is one record, of the first that is listed. */
function learntBy(catalogue: Catalogue): (variant: string) => string {
  const first = new Map<string, string>();
  const firstOf = new Map<string, string>();
  for (const [id, { plan }] of catalogue) {
    first.set(plan.fingerprint, first.get(plan.fingerprint) ?? id);
    firstOf.set(id, first.get(plan.fingerprint) ?? id);
  }
  return (variant) => firstOf.get(variant) ?? variant;
}

interface Compiled {
  readonly at: number;
  readonly profile: Profile;
  readonly crowding: Crowding;
  readonly overtaking: Overtaking;
}

/** The variant of a request's arm, where it has room and is predicted to keep the budget: elsewhere the request is served as any other. */
function ofArm(
  arm: RoutedArm | undefined,
  candidates: readonly Candidate[],
  needed: number,
  choose: (only: string) => Decision | undefined,
): Decision | undefined {
  const candidate = candidates.find(({ variant }) => variant === arm?.variant);
  if (!candidate || candidate.quarantined || needed > candidate.capacity) return undefined;
  const decision = choose(candidate.variant);
  return decision && decision.breaks.length === 0 ? { ...decision, rule: "experiment" } : undefined;
}

const predictedOf = (prediction: Prediction, quantile: number) =>
  record(METRICS, (metric) => ({
    p50: timeAt(prediction, metric, 0.5),
    high: timeAt(prediction, metric, quantile),
  }));

/** Sets an entry and forgets the oldest beyond `MOST_REMEMBERED`. */
function remember<V>(map: Map<string, V>, key: string, value: V): V {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST_REMEMBERED) map.delete(map.keys().next().value as string);
  return value;
}
