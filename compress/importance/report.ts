// What a measurement leaves: a JSON report and a bar chart for each criterion and target, put in place whole.
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";
import type { Calibration } from "../calibration.ts";
import { barChart } from "./chart.ts";
import type { Measured } from "./measure.ts";
import { labelOf } from "./units.ts";

export interface ReportOptions {
  readonly measured: Measured;
  readonly checkpoint: Checkpoint;
  readonly calibration: Calibration;
  readonly folder: string;
}

/**
 * The same measurement gives the same bytes.
 * @returns the paths, JSON first
 * @throws UserError when a file can't be written; nothing of it is left then
 */
export async function writeReport({ measured, checkpoint, calibration, folder }: ReportOptions): Promise<string[]> {
  const { criterion, target, ranking } = measured;
  const { name, tokens, digest } = calibration;
  const report = {
    criterion: criterion.id,
    title: criterion.title,
    source: criterion.source,
    target,
    value: criterion.value,
    checkpoint: { name: checkpoint.name, digest: checkpoint.digest },
    calibration: { text: name, sequences: tokens.sequences, length: tokens.length, digest },
    order: ranking.order.map(labelOf),
    ...(ranking.runs ? { runs: ranking.runs } : {}),
    values: ranking.values,
  };
  const first = new Set(ranking.order.slice(0, MARKED).map(labelOf));
  const chart = barChart({
    title: `${criterion.title}: ${target}`,
    subtitle: [criterion.value, `${checkpoint.name}, ${tokens.sequences} x ${tokens.length} tokens of ${name}`],
    bars: ranking.values.map((value) => ({
      label: labelOf(value),
      value: value.value,
      marked: first.has(labelOf(value)),
    })),
    legend: `the ${Math.min(MARKED, ranking.order.length)} most dispensable`,
  });
  const base = join(folder, `${criterion.id}-${target}`);
  await put(`${base}.json`, `${JSON.stringify(report, null, 2)}\n`, folder);
  await put(`${base}.svg`, chart, folder);
  return [`${base}.json`, `${base}.svg`];
}

const MARKED = 10;

/** Writes a file under a temporary name first. */
export async function put(file: string, content: string, folder: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(temporary, content);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new UserError(`${file} can't be written: ${(error as Error).message}`);
  }
}
