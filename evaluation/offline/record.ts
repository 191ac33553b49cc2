// Files of recorded scores. A score adds to what was recorded before of the same: slices that are
// measured one after another come together, and a short run never takes the place of a long one.
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { artifactsDir, ownScoresDir, scoresDir } from "../../build/paths.ts";
import {
  aggregate,
  formatItems,
  parseRecordedScore,
  type RecordedScore,
  recordScore,
  TASKS,
  type Task,
} from "../index.ts";

/** Writes a score under scores/, or among the artifacts where the variant is one of those. */
export async function record(score: RecordedScore): Promise<void> {
  const own = existsSync(join(artifactsDir(), "recipes", `${score.variant}.json`));
  const file = join(own ? ownScoresDir() : scoresDir, score.task, `${score.variant}.json`);
  const before = await readFile(file, "utf8").then(
    (text) => parseRecordedScore(JSON.parse(text)),
    () => undefined,
  );
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, recordScore(before ? withEarlier(score, before) : score));
}

/**
 * A score with the items of an earlier one of the same variant, engine, text and version of the
 * task that it lacks.
 */
export function withEarlier(score: RecordedScore, before: RecordedScore): RecordedScore {
  const added = isSame(score, before) ? [...before.results].filter(([item]) => !score.results.has(item)) : [];
  if (added.length === 0) return score;
  const results = new Map([...score.results, ...added].sort(([a], [b]) => a - b));
  const items = formatItems([...results.keys()]);
  return {
    ...score,
    command: `npm run eval -- --variant ${score.variant} --task ${score.task} --items ${items}`,
    seconds: Number((score.seconds + (before.seconds * added.length) / before.count).toFixed(1)),
    metrics: aggregate([...results.values()], (TASKS.get(score.task) as Task).metrics),
    count: results.size,
    results,
  };
}

const isSame = (a: RecordedScore, b: RecordedScore): boolean =>
  a.taskVersion === b.taskVersion &&
  (["variant", "engine", "data"] as const).every((digest) => a.digests[digest] === b.digests[digest]);
