// What became of requests in experiments, on its way to D1: through the queue of records, each exactly once.
import type { Recorder } from "../../storage/index.ts";
import { type Exposure, exposureKey } from "../assign.ts";

/** Where a request is: in which arm of which experiment. */
export interface Place {
  readonly experiment: string;
  readonly epoch: number;
  /** Id of the hashed unit. */
  readonly unit: string;
  readonly arm: string;
}

/** One value of one metric of one request, in the metric's unit. */
export interface RequestOutcome extends Place {
  /** Id of the reply. */
  readonly request: string;
  /** A name of `METRICS`, or `shadowId` of one and its treatment. */
  readonly metric: string;
  readonly value: number;
  /** When the request began, milliseconds since 1970. */
  readonly begunAt: number;
  /** When the outcome was known. */
  readonly at: number;
}

/** An answer that can be rated. */
export interface RatedCompletion extends Place {
  /** Id of the reply. */
  readonly id: string;
  /** Id of the API key, never the key. */
  readonly key: string;
  readonly begunAt: number;
}

export const outcomeRow = ({ begunAt, ...outcome }: RequestOutcome) => ({
  id: `${outcome.experiment}/${outcome.request}/${outcome.metric}`,
  ...outcome,
  begun_at: begunAt,
});

/**
 * Records outcomes: of the same experiment, request and metric the first counts. For `waitUntil`: settles once they are queued, never rejects.
 */
export const recordOutcomes = (recorder: Recorder, outcomes: readonly RequestOutcome[]): Promise<void> =>
  recorder.record("outcomes", outcomes.map(outcomeRow));

export const recordExposure = (recorder: Recorder, exposure: Exposure): Promise<void> =>
  recorder.record("exposures", [{ id: exposureKey(exposure), ...exposure }]);

export const recordCompletion = (recorder: Recorder, { begunAt, ...completion }: RatedCompletion): Promise<void> =>
  recorder.record("completions", [{ ...completion, begun_at: begunAt }]);
