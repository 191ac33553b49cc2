// Scores that are committed with the project, as the service needs them: what it compares served results with.
import type { ItemResult, Metrics } from "../metrics.ts";

export interface RecordedScore {
  readonly variant: string;
  readonly variantDigest: string;
  readonly engine: string;
  readonly engineDigest: string;
  readonly task: string;
  readonly dataDigest: string;
  readonly items: number;
  readonly metrics: Metrics;
  /** By item number. */
  readonly results: ReadonlyMap<number, ItemResult>;
}

export interface RecordedScores {
  readonly all: readonly RecordedScore[];
  /** The score of what a variant is now; undefined where none was recorded, or its digest has changed since. */
  of(variant: string, variantDigest: string, task: string): RecordedScore | undefined;
}

export function indexRecorded(all: readonly RecordedScore[]): RecordedScores {
  const key = (...parts: readonly string[]): string => parts.join(" ");
  const byKey = new Map(all.map((score) => [key(score.variant, score.variantDigest, score.task), score]));
  return { all, of: (variant, digest, task) => byKey.get(key(variant, digest, task)) };
}
