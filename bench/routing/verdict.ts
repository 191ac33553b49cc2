// What a replay has shown: how many budgets were met, of those that could be, and how good the answers were that met them.
import type { Budget } from "../../src/routing/budget.ts";
import type { QualityBook } from "../../src/routing/quality.ts";
import type { LoadRequest, Wish } from "./load.ts";

/** Milliseconds. */
export interface Times {
  readonly ttft: number;
  readonly tpot: number;
  readonly latency: number;
}

export interface Outcome extends Times {
  readonly variant: string;
  readonly failed?: boolean;
  /** What the reply's headers said of the decision. */
  readonly rule?: string | undefined;
  readonly predicted?: Times;
}

/** How long a request takes alone on an idle replica, under a variant. */
export type Idle = (request: LoadRequest, variant: string) => Times;

export interface Scene {
  readonly variants: readonly string[];
  readonly base: string;
  readonly idle: Idle;
  readonly qualities: QualityBook;
}

/** A budget counts if the fastest variant would have met it alone by this factor. */
export const SLACK = 1.3;
/** From a little less than the fastest needs to well over what the base needs. */
const [TIGHTEST, LOOSEST] = [1.1, 4];
/** Of the base's acc_norm. */
const FLOOR = 0.9;

const METRIC: Readonly<Record<Exclude<Wish["kind"], "none">, keyof Times>> = {
  latency: "latency",
  ttft: "ttft",
  tpot: "tpot",
  latency_and_quality: "latency",
};

/** The variant that is fastest on a request, of those that are good enough for its budget. */
export function fastest({ variants, idle, qualities }: Scene, request: LoadRequest, minHellaswag = 0): string {
  const good = variants.filter(
    (variant) => minHellaswag === 0 || (qualities.of(variant)?.accNorm ?? 0) >= minHellaswag,
  );
  return good.reduce((a, b) => (idle(request, b).latency < idle(request, a).latency ? b : a));
}

/** A request's budget on this machine. */
export function budgetOf(scene: Scene, request: LoadRequest): Partial<Budget> {
  const { kind, tightness } = request.wish;
  if (kind === "none") return {};
  const metric = METRIC[kind];
  const minHellaswag =
    kind === "latency_and_quality" ? FLOOR * (scene.qualities.of(scene.base)?.accNorm ?? 0) : undefined;
  const low = TIGHTEST * scene.idle(request, fastest(scene, request, minHellaswag))[metric];
  const high = LOOSEST * scene.idle(request, scene.base)[metric];
  const ms = Math.ceil(low * (high / low) ** tightness);
  return {
    ...(metric === "latency" ? { latencyMs: ms } : metric === "ttft" ? { ttftMs: ms } : { tpotMs: ms }),
    ...(minHellaswag === undefined ? {} : { minHellaswag }),
  };
}

const within = (times: Times, budget: Partial<Budget>, factor = 1): boolean =>
  times.latency * factor <= (budget.latencyMs ?? Number.POSITIVE_INFINITY) &&
  times.ttft * factor <= (budget.ttftMs ?? Number.POSITIVE_INFINITY) &&
  times.tpot * factor <= (budget.tpotMs ?? Number.POSITIVE_INFINITY);

/** Whether the fastest variant would have met a request's budget, alone and by the factor. */
export function isEligible(scene: Scene, request: LoadRequest, budget: Partial<Budget>): boolean {
  if (request.wish.kind === "none") return false;
  return within(scene.idle(request, fastest(scene, request, budget.minHellaswag)), budget, SLACK);
}

export interface Verdict {
  /** Requests that count. */
  readonly eligible: number;
  /** Share of them that met their budget. */
  readonly met: number;
  /** Mean acc_norm of the variants that answered those that met it, in percent. */
  readonly quality: number;
  /** Mean over all that count of the acc_norm that came in time; nothing for a miss. */
  readonly worth: number;
}

export function judge(scene: Scene, requests: readonly LoadRequest[], outcomes: readonly Outcome[]): Verdict {
  let [eligible, met, quality] = [0, 0, 0];
  for (const [i, request] of requests.entries()) {
    const budget = budgetOf(scene, request);
    const outcome = outcomes[i];
    if (!outcome || !isEligible(scene, request, budget)) continue;
    eligible++;
    const accNorm = scene.qualities.of(outcome.variant)?.accNorm ?? 0;
    if (outcome.failed || !within(outcome, budget) || accNorm < (budget.minHellaswag ?? 0)) continue;
    met++;
    quality += accNorm;
  }
  return { eligible, met: met / eligible, quality: met ? quality / met : 0, worth: quality / eligible };
}

/**
 * What a variant would come to if every request had the replica to itself, by idle times as measured. A replay of it does better only by
 * as much as its replica is faster than the idle one was: caches stay warm between requests that come close together.
 */
export const alone = (scene: Scene, requests: readonly LoadRequest[], variant: string): Verdict =>
  judge(
    scene,
    requests,
    requests.map((request) => ({ variant, ...scene.idle(request, variant) })),
  );

/** One choice is better than another if it is not worse in either share or quality, and better in one. */
export const dominates = (a: Verdict, b: Verdict): boolean =>
  a.met >= b.met && a.quality >= b.quality && (a.met > b.met || a.quality > b.quality);

/** The fixed choice that one would have made in hindsight: of those that met this share, the best; else what met most. */
export function bestFixed(
  verdicts: ReadonlyMap<string, Verdict>,
  share: number,
): readonly [string, Verdict] | undefined {
  const all = [...verdicts];
  const enough = all.filter(([, { met }]) => met >= share);
  const best = (list: typeof all, value: (verdict: Verdict) => number) =>
    list.length === 0 ? undefined : list.reduce((a, b) => (value(b[1]) > value(a[1]) ? b : a));
  return best(enough, ({ quality }) => quality) ?? best(all, ({ met }) => met);
}
