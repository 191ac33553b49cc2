// Routing in the gateway: puts the question together from what this isolate knows, and passes on what came out of it.
import type { Catalogue } from "../variants/catalogue.ts";
import type { Archive } from "./archive.ts";
import { type Budget, hasLimit, LIMITS, type Limit } from "./budget.ts";
import { costsOf } from "./costs.ts";
import { type Candidate, type Decision, decide, type Policy } from "./decide.ts";
import { type Follower, followDeadline } from "./downshift.ts";
import { type Crowding, crowdingOf } from "./headroom.ts";
import {
  LEVELS,
  METRICS,
  type PerLevel,
  type PerMetric,
  type Prediction,
  type Profile,
  predict,
  profileOf,
  ratiosOf,
  record,
  type Work,
} from "./latency.ts";
import { lengthsOf } from "./length.ts";
import { lightersOf } from "./lighter.ts";
import type { QualityBook } from "./quality.ts";
import { type DecisionRecord, type Outcome, recordOf, tenth } from "./record.ts";
import { createSnapshot } from "./snapshot.ts";
import { calibrationOf, type Observation, type RouterState } from "./state.ts";
import type { KeptDecision, RouterStore } from "./store.ts";
import { type Board, createBoard, type Sent } from "./under-way.ts";

/** Decisions and last choices that an isolate remembers. */
const MOST_REMEMBERED = 500;
/** A last choice holds off a better one this long. */
const INCUMBENT_MS = 60_000;
/** Where a reader took more than this share of the time, its pace was measured and not the replica's. */
const SLOW_READER = 0.2;

export interface RouterOptions {
  readonly catalogue: Catalogue;
  /** Found anew for each call. */
  store(): RouterStore;
  readonly archive: Archive;
  readonly qualities: QualityBook;
  /** Variants that `auto` must not use. */
  quarantined(): { has(variant: string): boolean };
  /** Share of outcomes that a prediction is to hold for, when a budget is held against it. */
  readonly quantile: number;
  readonly policy?: Policy;
  now(): number;
  newId(): string;
  onAway(error: unknown): void;
}

type WaitUntil = (promise: Promise<unknown>) => void;

export interface RouteRequest {
  readonly requestId: string;
  /** Whose request it is: an id of the key, never the key. */
  readonly key: string;
  /** As the request has it. */
  readonly model: string;
  /** The variant to use; undefined to choose among those of `base`. */
  readonly pinned: string | undefined;
  /** Base model whose variants may answer. */
  readonly base: string;
  readonly promptTokens: number;
  readonly maxTokens: number;
  /** `maxTokens` is only a default. */
  readonly mayShorten: boolean;
  readonly budget: Budget;
  /** Milliseconds since the request came. */
  readonly elapsedMs: number;
}

/** What a replica says of itself, as far as routing uses it. */
export interface ReplicaNews {
  readonly state: "loading" | "ready" | "failed";
  readonly engine: string;
  readonly queued: number;
  readonly running: number;
  /** Most tokens that a sequence of each variant may have there. */
  readonly capacities?: Readonly<Record<string, number>> | undefined;
}

/** A request on its way: told what happens to it, it teaches the model. */
export interface Routed {
  readonly decision: Decision;
  readonly record: DecisionRecord;
  /** The request goes to the replica now. */
  sent(): void;
  /** The replica told of itself, asked while the request was on its way. */
  told(news: ReplicaNews): void;
  /** A token came. @returns the variant that should go on with the answer, which has fallen behind */
  token(): string | undefined;
  /** A variant goes on with the answer. */
  switched(variant: string, fromToken: number): void;
  /**
   * The answer has ended; only the first call counts.
   * @param ended `complete` when it came to its own end; `readerMs` that its reader made it wait
   * @returns how it came out, for the log
   */
  ended(ended: { readonly complete: boolean; readonly readerMs: number }): Outcome | undefined;
}

export interface Router {
  /** Decides. Undefined when no variant has room for the request. Waits for nothing once this isolate has a copy of what was learnt. */
  route(request: RouteRequest, waitUntil: WaitUntil): Promise<Routed | undefined>;
  /** Most tokens of prompt and reply together that any variant of a base has room for. */
  roomOf(base: string): number;
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
    readonly prediction: Prediction;
    readonly calibration: ReturnType<typeof calibrationOf>;
  }[];
}

export function createRouter(options: RouterOptions): Router {
  const { catalogue, store, qualities, quantile: high, now } = options;
  const snapshot = createSnapshot(options);
  const variants = [...catalogue].map(([id, variant]) => ({ id, ...variant, costs: costsOf(variant.plan) }));
  const plans = new Map(variants.map(({ id, plan }) => [id, plan]));
  const boards = new Map<string, Board>();
  const news = new Map<string, ReplicaNews>();
  const kept = new Map<string, KeptDecision>();
  const incumbents = new Map<string, { readonly variant: string; readonly at: number }>();
  let compiled: { readonly at: number; readonly profile: Profile; readonly crowding: Crowding } | undefined;

  const boardOf = (base: string): Board => {
    const typical = variants.find(({ plan }) => plan.base.id === base)?.costs;
    if (!typical) throw new Error(`no variant has the base ${base}`);
    return remember(boards, base, boards.get(base) ?? createBoard(typical));
  };
  /** What a snapshot says, worked out once. */
  const compile = (state: RouterState, at: number) => {
    if (compiled?.at !== at) {
      const profile = profileOf(state.latency, high, now());
      compiled = { at, profile, crowding: crowdingOf(state.arrivals, now()) };
    }
    return compiled;
  };
  const candidatesOf = (base: string): Candidate[] => {
    const quarantined = options.quarantined();
    const { capacities, engine } = news.get(base) ?? {};
    return variants
      .filter(({ plan }) => plan.base.id === base)
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
      const { requestId, key, base, budget, pinned, promptTokens, maxTokens, model } = request;
      const { state, at } = await snapshot.get(waitUntil);
      const { profile, crowding } = compile(state, at);
      const board = boardOf(base);
      const load = board.load(now(), profile.machine.alone.ttft.p50);
      const work: Work = { promptTokens, tokens: lengthsOf(state.lengths, key, maxTokens, high, now()) };
      const scope = `${key} ${JSON.stringify(budget)}`;
      const last = incumbents.get(scope);
      const candidates = candidatesOf(base);
      const decision = decide({
        requestId,
        work,
        needed: promptTokens + (request.mayShorten ? 1 : maxTokens),
        budget,
        elapsedMs: request.elapsedMs,
        candidates: pinned === undefined ? candidates : candidates.filter(({ variant }) => variant === pinned),
        load,
        profile,
        crowding,
        qualities,
        pinned,
        incumbent: last && now() - last.at < INCUMBENT_MS ? last.variant : undefined,
        ...(options.policy ? { policy: options.policy } : {}),
      });
      if (!decision) return undefined;
      const { variant } = decision;
      if (pinned === undefined && hasLimit(budget) && decision.rule !== "explore") {
        remember(incumbents, scope, { variant, at: now() });
      }
      const { costs } = candidates.find((candidate) => candidate.variant === variant) as Candidate;
      const predicted = predictAll((level) => predict(costs, profile.of(variant), load, work, level));
      const underWay = board.count;
      const made = recordOf({
        ...{ id: `dec_${options.newId()}`, now: now(), requestId, model, budget, quantile: high },
        ...{ elapsedMs: request.elapsedMs, maxTokens, work, underWay, decision, predicted },
      });
      remember(kept, made.id, { key, record: made });
      waitUntil(snapshot.report({ key, record: made, arrival: { slackMs: decision.slackMs } }));

      let sent: Sent | undefined;
      let first: number | undefined;
      let wasReady = false;
      let over = false;
      let follower: Follower | undefined;
      const downshifts: Outcome["downshifts"][number][] = [];
      const lighterThan = (current: string) =>
        lightersOf({
          current,
          candidates,
          plans,
          qualities,
          budget,
          profile,
          context: promptTokens + work.tokens.p50 / 2,
        });
      return {
        decision,
        record: made,
        sent() {
          sent = { costs, promptTokens, expectedTokens: work.tokens.p50, sentAt: now(), tokens: 0 };
          board.add(sent);
          if (!budget.downshift || budget.latencyMs === undefined) return;
          follower = followDeadline({
            allowedMs: budget.latencyMs,
            elapsedMs: request.elapsedMs,
            startedAt: now(),
            expectedTokens: work.tokens.high,
            variant,
            lighterThan,
          });
        },
        told(status) {
          news.set(base, status);
          wasReady = status.state === "ready";
          board.told(status.queued + status.running, underWay, now());
        },
        token() {
          if (!sent) return undefined;
          first ??= now();
          board.token(sent, now());
          return follower?.token(now());
        },
        switched(to, fromToken) {
          downshifts.push({ variant: to, from_token: fromToken });
          follower?.switched(to, now());
        },
        ended({ complete, readerMs }) {
          if (over || !sent) return undefined;
          over = true;
          board.remove(sent);
          const { sentAt, tokens } = sent;
          const latencyMs = now() - sentAt;
          const ttftMs = first === undefined ? undefined : first - sentAt;
          const tpotMs = ttftMs === undefined || tokens < 2 ? undefined : (latencyMs - ttftMs) / (tokens - 1);
          const measured = { ttft: ttftMs, tpot: tpotMs, latency: latencyMs };
          const actual: Outcome = {
            ttft_ms: ttftMs === undefined ? null : tenth(ttftMs),
            tpot_ms: tpotMs === undefined ? null : tenth(tpotMs),
            latency_ms: tenth(latencyMs),
            tokens,
            complete,
            broke: brokenBy(budget, measured, request.elapsedMs),
            downshifts,
          };
          // Loading, a reader that is slow, and an answer by several variants say nothing about one.
          const teaches =
            complete &&
            wasReady &&
            downshifts.length === 0 &&
            ttftMs !== undefined &&
            readerMs <= latencyMs * SLOW_READER;
          const observation: Observation | undefined = teaches
            ? {
                ...{ variant, key, alone: load.alone, tokens, maxTokens, predicted },
                ratios: ratiosOf(costs, profile.of(variant), load, promptTokens, { ttftMs, latencyMs, tokens }),
                measured: { ttft: ttftMs, latency: latencyMs, ...(tpotMs === undefined ? {} : { tpot: tpotMs }) },
              }
            : undefined;
          const done = { ...made, actual };
          remember(kept, done.id, { key, record: done });
          waitUntil(snapshot.report({ key, record: done, observation }));
          waitUntil(options.archive.keep({ key, record: done }));
          return actual;
        },
      };
    },
    roomOf: (base) => Math.max(...candidatesOf(base).map(({ capacity }) => capacity)),
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
      const idle = { waitMs: 0, aheadMs: 0, aheadRounds: 0, others: [], alone: true };
      const work = { promptTokens: tokens, tokens: record(LEVELS, () => tokens) };
      return {
        quantile: high,
        variants: variants.map(({ id, costs }) => ({
          variant: id,
          observations: profile.of(id).alone.latency.own + profile.of(id).shared.latency.own,
          prediction: predict(costs, profile.of(id), idle, work),
          calibration: calibrationOf(state, id),
        })),
      };
    },
  };
}

const predictAll = (at: (level: (typeof LEVELS)[number]) => Prediction): PerMetric<PerLevel<number>> => {
  const byLevel = record(LEVELS, at);
  return record(METRICS, (metric) => record(LEVELS, (level) => byLevel[level][metric].high));
};

/** Limits in time that a request broke; a budget's clock starts when the request comes. */
function brokenBy(
  budget: Budget,
  measured: Readonly<Record<"ttft" | "tpot" | "latency", number | undefined>>,
  elapsedMs: number,
): Limit[] {
  const actual: Partial<Record<Limit, number | undefined>> = {
    latency_ms: elapsedMs + (measured.latency ?? 0),
    ttft_ms: measured.ttft === undefined ? undefined : elapsedMs + measured.ttft,
    tpot_ms: measured.tpot,
  };
  return (Object.keys(LIMITS) as Limit[]).filter((limit) => {
    const [ms, allowed] = [actual[limit], budget[LIMITS[limit]]];
    return ms !== undefined && allowed !== undefined && ms > allowed;
  });
}

/** Sets an entry and forgets the oldest beyond `MOST_REMEMBERED`. */
function remember<V>(map: Map<string, V>, key: string, value: V): V {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST_REMEMBERED) map.delete(map.keys().next().value as string);
  return value;
}
