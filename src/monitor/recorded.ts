// Scores that are committed with the project, as the build packs them for the gateway: what the API tells of variants, and what served
// results are compared with.
import type { ItemResult } from "../../evaluation/metrics.ts";
import type { RecordedScore as CommittedScore } from "../../evaluation/recorded.ts";

/** A recorded score as the service needs it. */
export type RecordedScore = Pick<
  CommittedScore,
  "variant" | "task" | "command" | "recorded" | "digests" | "metrics" | "count" | "results"
>;

/** What the build writes to dist/scores.json: of each item's result the numbers, a row an item. */
export type RecordedFile = readonly (Omit<RecordedScore, "results"> & {
  readonly items: readonly number[];
  readonly fields: readonly string[];
  readonly rows: readonly (readonly number[])[];
})[];

export interface RecordedScores {
  /** Of variants as they are now; a score of what a variant once was is none of it. */
  readonly all: readonly RecordedScore[];
  of(variant: string, task: string): RecordedScore | undefined;
}

/** @param digests of the variants as they are now, by id */
export function createRecordedScores(file: RecordedFile, digests: ReadonlyMap<string, string>): RecordedScores {
  const all = file.filter(({ variant, digests: { variant: digest } }) => digests.get(variant) === digest).map(unpack);
  const byKey = new Map(all.map((score) => [`${score.variant} ${score.task}`, score]));
  return { all, of: (variant, task) => byKey.get(`${variant} ${task}`) };
}

/** Results become objects when they are first asked for: most are not, in most isolates. */
function unpack({ items, fields, rows, ...score }: RecordedFile[number]): RecordedScore {
  let results: ReadonlyMap<number, ItemResult> | undefined;
  return {
    ...score,
    get results() {
      results ??= new Map(
        items.map((item, i) => [
          item,
          Object.fromEntries(fields.map((field, j) => [field, rows[i]?.[j] ?? Number.NaN])),
        ]),
      );
      return results;
    },
  };
}
