// Which variant answers: a pure function over a snapshot of what is known. An answer in time is worth the share of the base's
// quality that its variant has, a late one nothing; the variant with the greatest expectation answers.
import { assess, type Entry, LIMIT_NAMES, type Lost, promiseOf, TIME_LIMITS, type Verdict } from "./assess.ts";
import { isTimed, type Limit } from "./budget.ts";
import { timeAt } from "./latency.ts";
import { foretellOthers } from "./load.ts";
import { type Losses, lossesOf } from "./others.ts";
import { isTied, type Measure } from "./quality.ts";
import { POLICY, type Policy, type Question } from "./question.ts";

/** Why a variant was chosen. */
export type Rule =
  | "pinned"
  | "experiment"
  | "best"
  | "tied_cheaper"
  | "useful"
  | "surest"
  | "kept"
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
  /** What the request loses by waiting. */
  readonly losses: Losses;
  readonly verdicts: readonly Verdict[];
}

/** One of some candidates, and why. The others are told why not. */
interface Choice {
  readonly winner: Entry;
  readonly rule: Rule;
}

/**
 * @returns undefined when every variant is quarantined, has no room for the request, or is a `research` one that the
 *   request does not allow
 */
export function decide(question: Question): Decision | undefined {
  const { budget, pinned } = question;
  const ranked: Measure | undefined =
    budget.maxPerplexity !== undefined && budget.minHellaswag === undefined ? "perplexity" : undefined;
  const { measure = ranked } = question;
  const verdicts: Verdict[] = [];
  const entries: Entry[] = [];
  const before = foretellOthers(question.load, undefined);
  for (const candidate of question.candidates) {
    const entry = assess(question, candidate, measure, before, verdicts);
    if (entry) entries.push(entry);
  }
  const choice = pinned === undefined ? choose(question, entries, measure) : named(entries, pinned);
  if (!choice) return undefined;
  const { winner, rule } = choice;
  winner.verdict.lost = undefined;
  const breaks = LIMIT_NAMES.filter((limit) => (winner.strain[limit] ?? 0) > 1);
  const useful = entries.filter(isGoodEnough).map(({ slackMs, worth = 0 }) => ({ slackMs, worth }));
  return {
    variant: winner.candidate.variant,
    rule,
    breaks,
    chosen: winner.verdict,
    losses: lossesOf(useful),
    verdicts,
  };
}

function named(entries: readonly Entry[], variant: string): Choice | undefined {
  const winner = entries.find(({ candidate }) => candidate.variant === variant);
  return winner && { winner, rule: "pinned" };
}

const keeps = ({ strain }: Entry, limits: readonly Limit[]): boolean =>
  limits.every((limit) => (strain[limit] ?? 0) <= 1);
const QUALITY_LIMITS: readonly Limit[] = ["min_hellaswag", "max_perplexity"];
const isGoodEnough = (entry: Entry): boolean => keeps(entry, QUALITY_LIMITS);

function choose(question: Question, entries: readonly Entry[], measure: Measure | undefined): Choice | undefined {
  const { budget } = question;
  if (entries.length === 0) return undefined;
  for (const entry of entries) if (entry.worst > 1) entry.verdict.lost = worstLimit(entry);
  const fitting = entries.filter(({ worst }) => worst <= 1);
  const scored = fitting.filter(({ worth }) => worth !== undefined);
  if (fitting.length > 0 && scored.length === 0) return unscored(fitting);
  lose(fitting, "unscored", (entry) => !scored.includes(entry));
  if (budget.prefer !== "quality") {
    if (scored.length === 0) return nearest(entries);
    return budget.prefer === "speed" ? fastest(scored) : cheapest(scored);
  }
  if (isTimed(budget) && promiseOf(question) === undefined) {
    const hopeful = entries.filter((entry) => isGoodEnough(entry) && entry.worth !== undefined);
    if (!hopeful.some(({ inTime }) => inTime >= HOPELESS)) return nearest(entries);
    const choice = mostUseful(question, hopeful);
    return scored.length > 0 ? choice : { ...choice, rule: "nearest" };
  }
  return scored.length > 0 ? best(question, scored, measure) : nearest(entries);
}

/** Where the surest variant is less likely in time, the answer will be late: what comes nearest keeps the replica shortest. */
const HOPELESS = 0.02;

/** Probabilities that differ by less are one: what they are estimated from is no finer. */
const CHANCE_STEP = 0.02;

/** Usefulness that differs by less is one. */
const USEFULNESS_STEP = 0.005;

/** The greatest expected usefulness; of those that come near it, the one that served last, or the surest. */
function mostUseful({ policy = POLICY, requestId, incumbent }: Question, entries: readonly Entry[]): Choice {
  // Of variants that compute the same, the one that is listed first.
  const most = least(entries, ({ usefulness }) => -Math.round(usefulness / USEFULNESS_STEP));
  const within = (share: number): Entry[] =>
    entries.filter(({ usefulness }) => usefulness >= most.usefulness - share * Math.abs(most.usefulness));
  const explored = exploredOf(policy, requestId, within(policy.exploreWithin));
  if (explored) {
    lose(entries, "not_explored", (entry) => entry !== explored);
    return { winner: explored, rule: "explore" };
  }
  const best = least(entries, ({ worth = 0 }) => -worth);
  if (most.usefulness - best.usefulness <= policy.margin) {
    lose(entries, "less_useful", (entry) => entry !== best);
    return { winner: best, rule: "useful" };
  }
  const near = within(policy.near);
  const last = near.find(({ candidate }) => candidate.variant === incumbent);
  const surest = least(near, ({ inTime }) => -inTime);
  const winner = last ?? (surest.inTime - most.inTime > CHANCE_STEP ? surest : most);
  lose(near, "less_sure", (entry) => entry !== winner);
  lose(entries, "less_useful", (entry) => entry !== winner);
  return { winner, rule: winner === most ? "useful" : last ? "kept" : "surest" };
}

function exploredOf({ explore }: Policy, requestId: string, near: readonly Entry[]): Entry | undefined {
  if (near.length < 2 || draw(requestId, "whether") >= explore) return undefined;
  return near[Math.floor(draw(requestId, "which") * near.length)];
}

/** The best scores; what no measure tells apart from them may answer for less computation, at the exchange rate. */
function best(
  { policy = POLICY, qualities }: Question,
  entries: readonly Entry[],
  measure: Measure | undefined,
): Choice {
  const first = least(entries, ({ worth }) => -(worth ?? 0));
  const { variant } = first.candidate;
  const tied = entries.filter(
    (entry) => entry === first || isTied(qualities, variant, entry.candidate.variant, measure),
  );
  const winner = least(tied, ({ worth = 0, cost }) => (policy.exchange * cost) / first.cost - worth);
  lose(tied, "tied_dearer", (entry) => entry !== winner);
  lose(entries, "lower_quality", (entry) => entry !== winner);
  return { winner, rule: winner === first ? "best" : "tied_cheaper" };
}

function fastest(entries: readonly Entry[]): Choice {
  const winner = least(entries, ({ prediction }) => timeAt(prediction, "latency", 0.5));
  lose(entries, "slower", (entry) => entry !== winner);
  return { winner, rule: "fastest" };
}

function cheapest(entries: readonly Entry[]): Choice {
  const winner = least(entries, ({ cost }) => cost);
  lose(entries, "dearer", (entry) => entry !== winner);
  return { winner, rule: "cheapest" };
}

/** Nothing measured: what is meant for use before what is not, then what computes most. */
function unscored(entries: readonly Entry[]): Choice {
  const winner = least(entries, ({ candidate, cost }) => STATUS_RANK[candidate.status] * 1e9 - cost);
  lose(entries, "unscored", (entry) => entry !== winner);
  return { winner, rule: "unscored" };
}
const STATUS_RANK = { stable: 0, experimental: 1, research: 2 } as const;

/** What the answer is for decides first: time is lost by degrees, a broken text is of no use. */
function nearest(entries: readonly Entry[]): Choice {
  const pools = [entries.filter(isGoodEnough), entries.filter((entry) => keeps(entry, TIME_LIMITS)), entries].flatMap(
    (pool) => [pool.filter(({ worth }) => worth !== undefined), pool],
  );
  const winner = least(pools.find(({ length }) => length > 0) as readonly Entry[], ({ worst }) => worst);
  lose(entries, "further_off", (entry) => entry !== winner);
  return { winner, rule: "nearest" };
}

/** Tells those that are lost why, unless it has been told. */
function lose(entries: readonly Entry[], lost: Lost, isLost: (entry: Entry) => boolean): void {
  for (const entry of entries) if (isLost(entry)) entry.verdict.lost ??= lost;
}

/** The limit that is broken most. */
const worstLimit = ({ strain, worst }: Entry): Limit => LIMIT_NAMES.find((limit) => strain[limit] === worst) as Limit;

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
