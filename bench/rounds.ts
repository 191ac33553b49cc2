// Runs subjects in turn, round by round, and keeps every value.
import type { Rates } from "./answer.ts";
import { type Child, startChild } from "./child.ts";
import type { Measure } from "./measures.ts";
import type { CutPrompt } from "./prompts.ts";
import { digits } from "./stats.ts";
import { type Arrivals, type Running, type StartOptions, type Subject, Unavailable } from "./subject.ts";

export interface RoundsOptions extends StartOptions {
  readonly subjects: readonly Subject[];
  readonly measures: readonly Measure[];
  readonly rounds: number;
  readonly cut: CutPrompt;
  /** Called with a line for the one who waits. */
  readonly progress: (line: string) => void;
}

/** Values by measure and subject, one a round; undefined where it failed. */
export type Values = ReadonlyMap<string, ReadonlyMap<string, readonly (number | undefined)[]>>;

export interface RoundsResult {
  /** Those that ran, with what exactly they are. */
  readonly subjects: readonly (Subject & { readonly detail: string })[];
  /** Why the others did not, by id. */
  readonly leftOut: Readonly<Record<string, string>>;
  readonly values: Values;
  /** What the core could do, one a round. */
  readonly rates: readonly Rates[];
}

interface Started {
  readonly subject: Subject;
  readonly running: Running;
}

/** Every subject stays up throughout; only one works at a time. */
export async function runRounds(options: RoundsOptions): Promise<RoundsResult> {
  const { subjects, measures, rounds, core, progress } = options;
  const leftOut: Record<string, string> = {};
  const started: Started[] = [];
  const values = new Map(measures.map(({ id }) => [id, new Map<string, (number | undefined)[]>()]));
  const rates: Rates[] = [];
  let roofline: Child | undefined;
  try {
    roofline = await startChild({ args: ["bench/subjects/roofline-child.ts"], core });
    for (const subject of subjects) {
      const running = await startWarm(subject, options).catch((error: Error) => {
        if (!(error instanceof Unavailable)) progress(error.stack ?? error.message);
        leftOut[subject.id] = error.message;
        return undefined;
      });
      progress(running ? `${subject.id}: ${running.detail}` : `${subject.id}: left out, ${leftOut[subject.id]}`);
      if (running) started.push({ subject, running });
    }
    for (let round = 1; round <= rounds; round++) {
      const message = await roofline.ask({});
      if ("rates" in message) rates.push(message.rates);
      for (const measure of measures) {
        for (const { subject, running } of started.filter(({ subject }) => measure.of(subject))) {
          const value = await measureOnce(measure, subject, running, options).catch((error: Error) => {
            progress(`${subject.id}, ${measure.id}: ${error.message}`);
            return undefined;
          });
          const known = values.get(measure.id)!;
          known.set(subject.id, [...(known.get(subject.id) ?? []), value]);
          if (value !== undefined) {
            progress(`round ${round} of ${rounds}  ${measure.id}  ${subject.id}  ${digits(value)} ${measure.unit}`);
          }
        }
      }
    }
  } finally {
    await roofline?.stop();
    for (const { running } of started) await running.stop();
  }
  const ran = started.map(({ subject, running }) => ({ ...subject, detail: running.detail }));
  return { subjects: ran, leftOut, values, rates };
}

/** Starts a subject and runs it once for nothing, so that what is compiled or read at the first use is behind it. */
async function startWarm(subject: Subject, { core, cut }: RoundsOptions): Promise<Running> {
  const running = await subject.start({ core });
  try {
    await running.run({ variant: "smollm2-135m", prompts: [await cut(16)], count: 8, reuse: false });
  } catch (error) {
    await running.stop();
    throw error;
  }
  return running;
}

async function measureOnce(
  measure: Measure,
  subject: Subject,
  running: Running,
  options: RoundsOptions,
): Promise<number> {
  const { variant, count, prompt, sequences } = measure;
  const prompts = await Promise.all(Array.from({ length: sequences }, (_, index) => options.cut(prompt, index)));
  const request = { variant, prompts, count, reuse: measure.bound === "bandwidth" };
  const arrivals = measure.fresh ? await runFresh(subject, request, options) : await running.run(request);
  return measure.value(arrivals);
}

async function runFresh(
  subject: Subject,
  request: Parameters<Running["run"]>[0],
  { core }: StartOptions,
): Promise<Arrivals> {
  const running = await subject.start({ core });
  try {
    return await running.run(request);
  } finally {
    await running.stop();
  }
}
