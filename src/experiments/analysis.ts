// From closed units to what an experiment says: one result per treatment and metric, with its history, and the steps that follow.
import { createComparison } from "./comparisons.ts";
import { metricKind } from "./metrics.ts";
import { type Experiment, type MetricSpec, metricId } from "./schema.ts";
import { splitAlpha, type Verdict, verdictOf } from "./stats/interval.ts";
import { createSampleRatio } from "./stats/sample-ratio.ts";
import type { ClosedUnit, CountedExposure } from "./units.ts";

/** A look at a comparison. Differences are treatment minus control, positive is better, in the metric's unit or of its logarithm. */
export interface Point {
  /** Units so far. */
  readonly units: number;
  /** When the last of them was closed, milliseconds since 1970. */
  readonly at: number;
  /** null: one arm has no units yet. */
  readonly estimate: number | null;
  /** null: no limit yet. */
  readonly lower: number | null;
  readonly upper: number | null;
}

export interface MetricResult {
  readonly metric: string;
  readonly title: string;
  /** The unit of the arms' values. */
  readonly unit: string;
  /** Whether differences are of natural logarithms: 0.1 is about 10 %. */
  readonly is_log: boolean;
  readonly role: "primary" | "guardrail";
  readonly treatment: string;
  readonly control: string;
  readonly margin: number;
  /** Probability that this comparison's limits ever miss. */
  readonly alpha: number;
  readonly verdict: Verdict;
  readonly treatment_value: number | null;
  readonly control_value: number | null;
  /** About how many more units until the verdict is no longer `undecided`: null where that cannot be told. */
  readonly units_needed: number | null;
  /** The last point is how things are now. */
  readonly series: readonly Point[];
}

export interface SampleRatioResult {
  readonly p_value: number;
  /** Whether units do not come into the arms as the weights say. Then no verdict is acted on. */
  readonly alarm: boolean;
  readonly exposed: Readonly<Record<string, number>>;
  readonly expected: Readonly<Record<string, number>>;
}

export interface Results {
  readonly experiment: string;
  readonly epoch: number;
  readonly sample_ratio: SampleRatioResult;
  readonly metrics: readonly MetricResult[];
}

export interface AnalysisOptions {
  readonly experiment: Pick<Experiment, "id" | "control" | "primary" | "guardrails" | "alpha"> & {
    readonly arms: readonly { readonly name: string }[];
  };
  readonly epoch: number;
  readonly exposures: readonly CountedExposure[];
  /** In order of exposure. */
  readonly units: readonly ClosedUnit[];
}

/** A broken split is called by p-values up to this. */
const ALARM = 0.01;
/** Each point of a series has this much more units than the one before. */
const LOOKS = 1.1;

/** Everything an experiment says on one epoch. JSON as it is. */
export function analyse({ experiment, epoch, exposures, units }: AnalysisOptions): Results {
  const { id, arms, control, primary, guardrails } = experiment;
  const alpha = splitAlpha(experiment.alpha, arms.length, 1 + guardrails.length);
  const treatments = arms.map(({ name }) => name).filter((name) => name !== control);
  return {
    experiment: id,
    epoch,
    sample_ratio: sampleRatio(
      arms.map(({ name }) => name),
      exposures,
    ),
    metrics: treatments.flatMap((treatment) =>
      [primary, ...guardrails].map((spec, index) =>
        judge({ spec, role: index === 0 ? "primary" : "guardrail", treatment, control, alpha, units }),
      ),
    ),
  };
}

function sampleRatio(arms: readonly string[], exposures: readonly CountedExposure[]): SampleRatioResult {
  const ratio = createSampleRatio(arms.length);
  for (const { arm, shares } of exposures) {
    ratio.observe(
      arms.indexOf(arm),
      arms.map((name) => shares.get(name) ?? 0),
    );
  }
  return {
    p_value: ratio.pValue,
    alarm: ratio.pValue <= ALARM,
    exposed: Object.fromEntries(arms.map((name, k) => [name, ratio.counts[k]!])),
    expected: Object.fromEntries(arms.map((name, k) => [name, ratio.expected[k]!])),
  };
}

interface JudgeOptions {
  readonly spec: MetricSpec;
  readonly role: "primary" | "guardrail";
  readonly treatment: string;
  readonly control: string;
  readonly alpha: number;
  readonly units: readonly ClosedUnit[];
}

function judge({ spec, role, treatment, control, alpha, units }: JudgeOptions): MetricResult {
  const comparison = createComparison({ spec, treatment, control, alpha });
  const { scale } = comparison;
  const series: Point[] = [];
  let count = 0;
  let at = 0;
  let verdict: Verdict = "undecided";
  const look = (): void => {
    const { lower, upper } = comparison.interval();
    const { treatment, control } = comparison.estimates();
    const inUnit = (goodness: number): number | null => (Math.abs(goodness) < 1 ? goodness * scale.width : null);
    series.push({
      units: count,
      at,
      estimate: orNull((treatment - control) * scale.width),
      lower: inUnit(lower),
      upper: inUnit(upper),
    });
    verdict = verdictOf(comparison, comparison.margin);
  };
  for (const unit of units) {
    if (!comparison.observe(unit)) continue;
    count++;
    at = unit.closedAt;
    if (count >= (series.at(-1)?.units ?? 0) * LOOKS) look();
  }
  if (count > (series.at(-1)?.units ?? 0)) look();
  const values = comparison.estimates();
  const needed = verdict === "undecided" ? comparison.needed() : 0;
  return {
    metric: metricId(spec),
    title: metricKind(spec.metric).title,
    unit: metricKind(spec.metric).unit,
    is_log: metricKind(spec.metric).isLog ?? false,
    role,
    treatment,
    control,
    margin: spec.margin,
    alpha,
    verdict,
    treatment_value: orNull(scale.toValue(values.treatment)),
    control_value: orNull(scale.toValue(values.control)),
    units_needed: orNull(needed),
    series,
  };
}

const orNull = (value: number): number | null => (Number.isFinite(value) ? value : null);
