// All that routing has learnt, as plain data: it goes through RPC and storage unchanged.
import {
  type Company,
  type LatencyState,
  LEVELS,
  learnLatency,
  learnPlaces,
  METRICS,
  type PerLevel,
  type PerMetric,
  type Ratios,
} from "./latency.ts";
import { type LengthState, learnLength } from "./length.ts";
import { type ArrivalState, newArrivals } from "./others.ts";

export interface RouterState {
  readonly latency: LatencyState;
  readonly lengths: LengthState;
  readonly calibration: CalibrationState;
  readonly arrivals: ArrivalState;
}

/** How often what was measured lay within what was predicted. */
interface Hits {
  requests: number;
  within: Record<string, number>;
}
/** By `variant metric`. */
export type CalibrationState = Record<string, Hits>;

/** Beyond this many requests, older ones count half. */
const MOST_HITS = 1000;

export const newState = (): RouterState => ({ latency: {}, lengths: {}, calibration: {}, arrivals: newArrivals() });

/** What one finished request teaches. */
export interface Observation {
  readonly variant: string;
  readonly key: string;
  /** Who else was there, for each time that was measured. */
  readonly companies: PerMetric<Company>;
  /** Nobody else was there when it came. */
  readonly alone: boolean;
  /** How much of the prediction lay above what was measured. */
  readonly above: Partial<PerMetric<number>>;
  readonly ratios: Ratios;
  /** Tokens generated, of a reply that came to its own end. */
  readonly tokens: number;
  readonly maxTokens: number;
  /** What was measured, in milliseconds, for the metrics that could be, and what was predicted. */
  readonly measured: Partial<PerMetric<number>>;
  readonly predicted: PerMetric<PerLevel<number>>;
}

export function learnFrom(state: RouterState, observation: Observation, now: number): void {
  const { variant, key, companies, ratios, tokens, maxTokens, measured, predicted } = observation;
  learnLatency(state.latency, variant, companies, ratios, now);
  learnPlaces(state.latency, observation.alone, observation.above, now);
  learnLength(state.lengths, key, tokens, maxTokens, now);
  for (const metric of METRICS) {
    const ms = measured[metric];
    if (ms === undefined) continue;
    const entry = `${variant} ${metric}`;
    const hits = state.calibration[entry] ?? { requests: 0, within: {} };
    state.calibration[entry] = hits;
    if (hits.requests >= MOST_HITS) {
      hits.requests /= 2;
      for (const level of LEVELS) hits.within[level] = (hits.within[level] ?? 0) / 2;
    }
    hits.requests++;
    for (const level of LEVELS) hits.within[level] = (hits.within[level] ?? 0) + Number(ms <= predicted[metric][level]);
  }
}

export interface Calibration {
  readonly requests: number;
  /** Share of the requests whose measured time was within the prediction at each level. */
  readonly within: PerLevel<number>;
}

export function calibrationOf({ calibration }: RouterState, variant: string): Partial<PerMetric<Calibration>> {
  return Object.fromEntries(
    METRICS.flatMap((metric) => {
      const hits = calibration[`${variant} ${metric}`];
      if (!hits) return [];
      const within = Object.fromEntries(LEVELS.map((level) => [level, (hits.within[level] ?? 0) / hits.requests]));
      return [[metric, { requests: hits.requests, within: within as PerLevel<number> }]];
    }),
  );
}
