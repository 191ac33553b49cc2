// What a replay has shown: useful in time, the share of the base's quality that came in time, of all requests that count.
import type { Budget, QualityBook } from "../../src/routing/index.ts";
import { worthOf } from "../../src/routing/quality.ts";
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
  /** In simulated time. */
  readonly endedAt?: number;
  /** What was told of the decision: times at the quantile, and the probability to be in time. */
  readonly rule?: string | undefined;
  readonly predicted?: Times;
  readonly inTime?: number | undefined;
}

/** How long a request takes alone on an idle replica, under a variant. */
export type Idle = (request: LoadRequest, variant: string) => Times;

export interface Scene {
  /** Those that `auto` may answer with: not `research`. */
  readonly variants: readonly string[];
  readonly base: string;
  readonly idle: Idle;
  readonly qualities: QualityBook;
}

/** A budget counts if the fastest variant would have met it alone by this factor. */
const SLACK = 1.3;
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
function budgetOf(scene: Scene, request: LoadRequest): Partial<Budget> {
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

/** A request with its budget, and whether it counts: the fastest variant would have met it alone with a third to spare. */
export interface Case {
  readonly request: LoadRequest;
  readonly budget: Partial<Budget>;
  readonly counts: boolean;
}

export function caseOf(scene: Scene, request: LoadRequest): Case {
  const budget = budgetOf(scene, request);
  const quickest = scene.idle(request, fastest(scene, request, budget.minHellaswag));
  return { request, budget, counts: request.wish.kind !== "none" && within(quickest, budget, SLACK) };
}

/** What a variant's answer in time is worth, as routing weighs it: what is left of the base's quality by the measure worst for it. */
export const shareOf = (qualities: QualityBook, variant: string): number => worthOf(qualities.of(variant)) ?? 0;

/** In time, and as good as was asked for. */
const isUseful = (qualities: QualityBook, { budget }: Case, outcome: Outcome): boolean =>
  !outcome.failed &&
  within(outcome, budget) &&
  (qualities.of(outcome.variant)?.accNorm ?? 0) >= (budget.minHellaswag ?? 0);

/** What an outcome was worth to its request: 0 for a late answer, or one that is not as good as was asked for. */
export const usefulness = (qualities: QualityBook, entry: Case, outcome: Outcome): number =>
  isUseful(qualities, entry, outcome) ? shareOf(qualities, outcome.variant) : 0;

export interface Verdict {
  /** Usefulness of each request that counts, in their order. */
  readonly useful: readonly number[];
  /** Its mean: useful in time. */
  readonly mean: number;
  /** The same if HellaSwag alone told how good variants are: the share of the base's acc_norm above chance. */
  readonly byHellaswag: number;
  /** Share of them that met their budget. */
  readonly met: number;
  /** Answers by each variant, of those that count. */
  readonly answers: ReadonlyMap<string, number>;
}

export function judge(
  qualities: QualityBook,
  cases: readonly Case[],
  outcomes: readonly (Outcome | undefined)[],
): Verdict {
  const useful: number[] = [];
  const answers = new Map<string, number>();
  let [met, byHellaswag] = [0, 0];
  for (const [i, entry] of cases.entries()) {
    const outcome = outcomes[i];
    if (!entry.counts || !outcome) continue;
    useful.push(usefulness(qualities, entry, outcome));
    if (isUseful(qualities, entry, outcome)) byHellaswag += qualities.of(outcome.variant)?.shares.hellaswag ?? 0;
    if (!outcome.failed && within(outcome, entry.budget)) met++;
    answers.set(outcome.variant, (answers.get(outcome.variant) ?? 0) + 1);
  }
  const count = useful.length;
  return { useful, mean: mean(useful), byHellaswag: byHellaswag / count, met: met / count, answers };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** How much more useful one choice was than another on the same requests, with its standard error. */
export function compare(a: Verdict, b: Verdict): { readonly difference: number; readonly se: number } {
  return paired(a.useful, b.useful);
}

/** Mean difference of numbers that belong together, with its standard error. */
export function paired(
  a: readonly number[],
  b: readonly number[],
): { readonly difference: number; readonly se: number } {
  const differences = a.map((value, i) => value - (b[i] ?? 0));
  const difference = mean(differences);
  const variance = differences.reduce((sum, d) => sum + (d - difference) ** 2, 0) / Math.max(1, differences.length - 1);
  return { difference, se: Math.sqrt(variance / differences.length) };
}
