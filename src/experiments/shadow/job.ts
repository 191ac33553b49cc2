// Shadow scoring: some of the control's answers are run through the treatments, off the request's path. What is asked of whom.
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import type { MetricName } from "../metrics.ts";
import type { Experiment } from "../schema.ts";
import { shadowId } from "../units.ts";

/** An answer to be scored. Holds what a client wrote, as token ids: it is kept until it is scored, and no longer than `until`. */
export interface ShadowJob {
  readonly experiment: string;
  readonly epoch: number;
  readonly unit: string;
  /** The control's name. */
  readonly arm: string;
  /** Id of the answer; with the metric it is what an outcome is stored under once. */
  readonly request: string;
  /** Variant that gave the answer. */
  readonly reference: string;
  readonly treatments: readonly Treatment[];
  readonly promptIds: readonly number[];
  readonly replyIds: readonly number[];
  /** As of `GenerateRequest`. */
  readonly scope: string;
  /** When the request began, milliseconds since 1970. */
  readonly begunAt: number;
  /** After this the unit is closed, and an outcome would no longer count. */
  readonly until: number;
}

export interface Treatment {
  readonly arm: string;
  readonly variant: string;
}

/** The Durable Object that holds the jobs, as its caller sees it. One for each base model. */
export interface ShadowQueue {
  /** @returns false when the queue is full: the answer is not scored */
  add(job: ShadowJob): Promise<boolean>;
}

/** A value of a metric of a treatment, measured on a control's answer; in the metric's unit. */
export interface ShadowOutcome
  extends Pick<ShadowJob, "experiment" | "epoch" | "unit" | "arm" | "request" | "begunAt"> {
  /** `shadowId` of the metric and the treatment. */
  readonly metric: string;
  readonly value: number;
  /** When it was known, milliseconds since 1970. */
  readonly at: number;
}

/** Whether an answer is among those that are scored: the same for the same request and experiment, wherever it is asked. */
export function isSampled(request: string, experiment: string, share: number): boolean {
  const digest = sha256(utf8ToBytes(JSON.stringify(["shadow", experiment, request])));
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0) / 2 ** 32 < share;
}

/** Whether an experiment judges what only shadow scoring measures. */
export const needsShadow = ({ primary, guardrails }: Pick<Experiment, "primary" | "guardrails">): boolean =>
  [primary, ...guardrails].some(({ metric }) => metric === "agreement");

/** The values of a comparison, by what outcomes of them are called. */
export const shadowValues = (
  treatment: string,
  { kl, agreement, nll }: { readonly kl: number; readonly agreement: number; readonly nll: number },
): readonly (readonly [metric: string, value: number])[] => {
  const values: readonly (readonly [MetricName, number])[] = [
    ["agreement", agreement],
    ["kl", kl],
    ["perplexity", Math.exp(nll)],
  ];
  return values.map(([metric, value]) => [shadowId(metric, treatment), value]);
};
