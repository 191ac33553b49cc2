// Which variant answers: a pure function over a snapshot of what is known. Called again while an answer is under way, with what is left of
// the work and the budget, it says whether another variant should go on.
import { assess, boundOf, type Entry, LIMIT_NAMES, type Lost, unitOf, type Verdict } from "./assess.ts";
import { LIMITS, type Limit } from "./budget.ts";
import type { Measure, QualityBook } from "./quality.ts";
import { POLICY, type Question } from "./question.ts";

/** Why a variant was chosen. */
export type Rule =
  | "pinned"
  | "experiment"
  | "best"
  | "tied_cheaper"
  | "headroom"
  | "fastest"
  | "cheapest"
  | "explore"
  | "unscored"
  | "nearest";

export interface Decision {
  readonly variant: string;
  readonly rule: Rule;
  /** Limits that the chosen variant is predicted to break. */
  readonly breaks: readonly Limit[];
  readonly chosen: Verdict;
  /** Milliseconds that the request can spare under the fastest variant; undefined without a limit in time. */
  readonly slackMs: number | undefined;
  readonly verdicts: readonly Verdict[];
}

/** @returns undefined when every variant is quarantined, has no room for the request, or is a `research` one that it does not allow */
export function decide(question: Question): Decision | undefined {
  const { budget, pinned, policy = POLICY } = question;
  const asked: Measure =
    budget.maxPerplexity !== undefined && budget.minHellaswag === undefined ? "perplexity" : "hellaswag";
  const { measure = asked } = question;
  const verdicts: Verdict[] = [];
  const entries: Entry[] = [];
  for (const candidate of question.candidates) {
    const entry = assess(question, candidate, measure, verdicts);
    if (entry) entries.push(entry);
  }
  const conclude = (winner: Entry, rule: Rule): Decision => {
    winner.verdict.lost = undefined;
    const breaks = LIMIT_NAMES.filter((limit) => (winner.strain[limit] ?? 0) > 1);
    const slack = entries.reduce((most, entry) => Math.max(most, entry.slackMs), Number.NEGATIVE_INFINITY);
    const slackMs = Number.isFinite(slack) ? slack : undefined;
    return { variant: winner.candidate.variant, rule, breaks, chosen: winner.verdict, slackMs, verdicts };
  };

  if (pinned !== undefined) {
    const entry = entries.find(({ candidate }) => candidate.variant === pinned);
    return entry && conclude(entry, "pinned");
  }
  if (entries.length === 0) return undefined;

  const lose = (losers: readonly Entry[], winner: Entry | undefined, lost: Lost): void => {
    for (const entry of losers) if (entry !== winner) entry.verdict.lost ??= lost;
  };
  /** Goes on with those that are left, unless none is. */
  const narrow = (from: Entry[], keep: (entry: Entry) => boolean, lost: Lost): Entry[] => {
    const kept = from.filter(keep);
    if (kept.length === 0 || kept.length === from.length) return from;
    lose(
      from.filter((entry) => !keep(entry)),
      undefined,
      lost,
    );
    return kept;
  };

  let fitting = entries.filter((entry) => entry.worst <= 1);
  for (const entry of entries) if (entry.worst > 1) entry.verdict.lost = worstLimit(entry);
  if (fitting.length === 0) {
    // What the answer is for decides first: time is lost by degrees, a broken text is of no use.
    const pools = [
      entries.filter(({ strain }) => QUALITY_LIMITS.every((limit) => (strain[limit] ?? 0) <= 1)),
      entries.filter(({ strain }) => TIME_LIMITS.every((limit) => (strain[limit] ?? 0) <= 1)),
      entries,
    ].flatMap((pool) => [pool.filter(({ bound }) => bound !== undefined), pool]);
    const nearest = least(pools.find(({ length }) => length > 0) as Entry[], ({ worst }) => worst);
    lose(entries, nearest, "further_off");
    return conclude(nearest, "nearest");
  }

  fitting = narrow(fitting, (entry) => entry.bound !== undefined, "unscored");
  if (fitting[0]?.bound === undefined) {
    // Nothing measured: what is meant for use before what is not, then what computes most.
    const best = least(fitting, ({ candidate, cost }) => STATUS_RANK[candidate.status] * 1e9 - cost);
    lose(fitting, best, "unscored");
    return conclude(best, "unscored");
  }

  if (budget.prefer !== "quality") {
    const speed = budget.prefer === "speed";
    const winner = least(fitting, speed ? ({ prediction }) => prediction.latency.high : ({ cost }) => cost);
    lose(fitting, winner, speed ? "slower" : "dearer");
    return conclude(winner, speed ? "fastest" : "cheapest");
  }

  const last = fitting.find(({ candidate }) => candidate.variant === question.incumbent);
  if (last) {
    const roomy = ({ bound, worst }: Entry): boolean =>
      boundOf(bound) <= boundOf(last.bound) || worst <= 1 / (1 + policy.margin);
    fitting = narrow(fitting, roomy, "margin");
  }
  // Without a limit in time it keeps nobody waiting: what has one goes first.
  const isTimed = TIME_LIMITS.some((limit) => budget[LIMITS[limit]] !== undefined);
  const scoreOf = ({ worth, bound }: Entry): number => (isTimed ? worth : boundOf(bound));
  const best = least(fitting, (entry) => -scoreOf(entry));
  const tied = fitting.filter((entry) => entry === best || isTied(question.qualities, best, entry, measure));
  const winner = least(tied, ({ cost }) => cost);
  const near = fitting.filter((entry) => scoreOf(best) - scoreOf(entry) <= policy.exploreWithin * unitOf(measure));
  if (near.length > 1 && draw(question.requestId, "whether") < policy.explore) {
    const explored = near[Math.floor(draw(question.requestId, "which") * near.length)] as Entry;
    lose(fitting, explored, "not_explored");
    return conclude(explored, "explore");
  }
  lose(tied, winner, "tied_dearer");
  const better = fitting.filter(({ bound }) => boundOf(bound) > boundOf(best.bound));
  lose(better, winner, "headroom");
  lose(fitting, winner, "lower_quality");
  if (better.length > 0) return conclude(winner, "headroom");
  return conclude(winner, winner === best ? "best" : "tied_cheaper");
}

const QUALITY_LIMITS: readonly Limit[] = ["min_hellaswag", "max_perplexity"];
const TIME_LIMITS: readonly Limit[] = ["latency_ms", "ttft_ms", "tpot_ms"];
const STATUS_RANK = { stable: 0, experimental: 1, research: 2 } as const;

/** The limit that is broken most. */
const worstLimit = ({ strain, worst }: Entry): Limit => LIMIT_NAMES.find((limit) => strain[limit] === worst) as Limit;

/**
 * Whether two variants cannot be told apart: their paired difference is within its own standard error (the one-standard-error rule of
 * Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, section 3.4.3).
 */
function isTied(qualities: QualityBook, best: Entry, entry: Entry, measure: Measure): boolean {
  const paired = qualities.compare(best.candidate.variant, entry.candidate.variant, measure);
  return paired !== undefined && Math.abs(paired.difference) <= paired.se;
}

/** The first of the least. */
function least(entries: readonly Entry[], value: (entry: Entry) => number): Entry {
  return entries.reduce((a, b) => (value(b) < value(a) ? b : a));
}

/** A number in [0, 1) that depends on the request alone (FNV-1a with MurmurHash3's finalizer). */
function draw(requestId: string, purpose: string): number {
  let hash = 0x811c9dc5;
  for (const unit of `${purpose} ${requestId}`) hash = Math.imul(hash ^ (unit.codePointAt(0) as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
