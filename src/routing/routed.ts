// A request on its way: told what happens to it, it gives its outcome, and what that teaches.
import { type Budget, isTimed, LIMITS, type Limit } from "./budget.ts";
import type { Costs } from "./costs.ts";
import type { Decision } from "./decide.ts";
import { type Follower, followDeadline } from "./downshift.ts";
import {
  type Company,
  companyOf,
  METRICS,
  type PerLevel,
  type PerMetric,
  type Prediction,
  type Profile,
  paceOf,
  placesIn,
  ratiosOf,
  type Work,
} from "./latency.ts";
import { ENOUGH } from "./layers.ts";
import type { Load } from "./load.ts";
import { type DecisionRecord, type Outcome, tenth } from "./record.ts";
import type { Observation } from "./state.ts";
import type { Report } from "./store.ts";
import type { Board, Sent } from "./under-way.ts";

/** Where a reader took more than this share of the time, its pace was measured and not the replica's. */
const SLOW_READER = 0.2;

/** What a replica says of itself, as far as routing uses it. */
export interface ReplicaNews {
  readonly state: "idle" | "loading" | "ready" | "failed";
  readonly engine: string;
  readonly queued: number;
  readonly running: number;
  /** All weight sets that have room in its memory, loaded or not, the one that it is named by first. Absent: the one asked for. */
  readonly weights?: readonly string[] | undefined;
  /** Most tokens that a sequence of each variant may have there, of all whose weights are loaded. */
  readonly capacities?: Readonly<Record<string, number>> | undefined;
}

/** A request on its way: told what happens to it, it teaches the model. */
export interface Routed {
  readonly decision: Decision;
  readonly record: DecisionRecord;
  /** The request goes to the replica now. */
  sent(): void;
  /** How it stood with the replica when the request came there, and once more where its weights were loaded for it. */
  told(news: ReplicaNews): void;
  /** The prompt's computation begins: this many of its tokens need none. */
  started(cachedTokens: number): void;
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

export interface FollowOptions {
  readonly key: string;
  readonly decision: Decision;
  /** The name that what is learnt of the chosen variant is kept by. */
  readonly learntAs: string;
  readonly record: DecisionRecord;
  readonly request: {
    readonly budget: Budget;
    readonly promptTokens: number;
    readonly maxTokens: number;
    readonly elapsedMs: number;
  };
  /** Of the variant that was chosen. */
  readonly costs: Costs;
  readonly load: Load;
  readonly profile: Profile;
  readonly work: Work;
  readonly prediction: Prediction;
  readonly predicted: PerMetric<PerLevel<number>>;
  readonly board: Board;
  now(): number;
  readonly lighterThan: Parameters<typeof followDeadline>[0]["lighterThan"];
  onNews(news: ReplicaNews): void;
  onEnd(report: Report): void;
}

export function followRequest(options: FollowOptions): Routed {
  const {
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
  } = options;
  const { budget, promptTokens, maxTokens, elapsedMs } = request;
  const { variant } = decision;
  const underWay = board.count;
  let sent: Sent | undefined;
  let first: number | undefined;
  let wasReady: boolean | undefined;
  let over = false;
  let cached = 0;
  let follower: Follower | undefined;
  const downshifts: Outcome["downshifts"][number][] = [];
  return {
    decision,
    record: made,
    sent() {
      sent = {
        costs,
        pace: paceOf(profile.of(variant)),
        promptTokens,
        expectedTokens: work.tokens.p50,
        maxTokens,
        allowed: work.allowed,
        worth: isTimed(budget) ? (decision.chosen.worth ?? 0) : 0,
        sentAt: now(),
        firstAt: undefined,
        overtakenAt: undefined,
        tokens: 0,
      };
      board.add(sent);
      if (!budget.downshift || budget.latencyMs === undefined) return;
      follower = followDeadline({
        allowedMs: budget.latencyMs,
        elapsedMs,
        startedAt: now(),
        expectedTokens: work.tokens.high,
        variant,
        lighterThan: options.lighterThan,
      });
    },
    told(status) {
      options.onNews(status);
      // A second status comes when the weights have been loaded for this request: others have come since.
      if (wasReady !== undefined) return;
      wasReady = status.state === "ready";
      board.told(status.queued + status.running, underWay, now());
    },
    started(cachedTokens) {
      cached = cachedTokens;
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
      const { sentAt, tokens, overtakenAt } = sent;
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
        broke: brokenBy(budget, measured, elapsedMs),
        downshifts,
      };
      // Loading, a reader that is slow, and an answer by several variants say nothing about one.
      const teaches =
        complete && wasReady && downshifts.length === 0 && ttftMs !== undefined && readerMs <= latencyMs * SLOW_READER;
      const overtaken = (before: number): Company => companyOf(load.alone, (overtakenAt ?? before) < before);
      const ever = overtaken(Number.POSITIVE_INFINITY);
      const companies = { ttft: overtaken(first ?? 0), tpot: ever, latency: ever };
      const computed = { ...work, promptTokens: promptTokens - cached };
      const observation: Observation | undefined = teaches
        ? {
            variant: options.learntAs,
            key,
            companies,
            tokens,
            maxTokens,
            predicted,
            ratios: ratiosOf(costs, profile.of(variant), load, computed, companies, { ttftMs, latencyMs, tokens }),
            measured: { ttft: ttftMs, latency: latencyMs, ...(tpotMs === undefined ? {} : { tpot: tpotMs }) },
            alone: load.alone,
            above: isMachineKnown(profile, load) ? placesIn(prediction, measured) : {},
          }
        : undefined;
      options.onEnd({ key, record: { ...made, actual }, observation });
      return actual;
    },
  };
}

/** Predictions of a machine that was not known yet say nothing of those that come after. */
const isMachineKnown = ({ machine }: Profile, { alone }: Load): boolean =>
  METRICS.every((metric) => machine[companyOf(alone, false)][metric].own >= ENOUGH);

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
