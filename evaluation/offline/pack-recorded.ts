// Packs the scores under scores/ into one file for the gateway's bundle: of each item the numbers, without texts and lists.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { scoresDir } from "../../build/paths.ts";
import type { RecordedFile } from "../../src/monitor/index.ts";
import { type ItemResult, parseRecordedScore, type RecordedScore, TASKS } from "../index.ts";

/**
 * Scores of another version of a task are left out: they are no scores of the task as it is.
 * @throws Error that names the file that is not a recorded score, and what is wrong with it
 */
export async function readRecorded(dir = scoresDir): Promise<RecordedScore[]> {
  const names = await readdir(dir, { recursive: true }).catch(() => []);
  const scores: RecordedScore[] = [];
  for (const name of names.filter((name) => name.endsWith(".json")).sort()) {
    const score = parse(await readFile(join(dir, name), "utf8"), name);
    if (TASKS.get(score.task)?.version === score.taskVersion) scores.push(score);
  }
  return scores;
}

/** @throws Error as `readRecorded` */
export const packRecorded = async (dir = scoresDir): Promise<RecordedFile> => (await readRecorded(dir)).map(pack);

function parse(text: string, name: string): RecordedScore {
  try {
    return parseRecordedScore(JSON.parse(text));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new Error(`scores/${name} is not a recorded score: ${reason}`);
  }
}

function pack({
  variant,
  task,
  command,
  recorded,
  digests,
  metrics,
  count,
  results,
}: RecordedScore): RecordedFile[number] {
  const first: ItemResult = results.values().next().value ?? {};
  const fields = Object.keys(first).filter((field) => typeof first[field] === "number");
  const rows = [...results.values()].map((result) => fields.map((field) => Number(result[field])));
  return { variant, task, command, recorded, digests, metrics, count, items: [...results.keys()], fields, rows };
}
