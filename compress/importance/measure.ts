// Measures criteria over a checkpoint and calibration tokens, one after another; what they share is computed once.
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";
import type { Calibration } from "../calibration.ts";
import { createForward, type Tokens } from "../forward/forward.ts";
import { openModel } from "../forward/model.ts";
import { CRITERIA } from "./criteria.ts";
import type { Context, Criterion, Ranking } from "./criterion.ts";
import { measureStates, type StateMeans, type StateSums } from "./states.ts";
import { TARGETS, type Target } from "./units.ts";
import { memoryLog, openWorkLog, type WorkLog } from "./work.ts";

export interface Wanted {
  readonly criterion: Criterion;
  readonly target: Target;
}

export interface Measured extends Wanted {
  readonly ranking: Ranking;
}

export interface MeasureOptions {
  readonly checkpoint: Checkpoint;
  readonly calibration: Calibration;
  readonly wanted: readonly Wanted[];
  /** Calibration sequences that perplexities are measured on. */
  readonly evaluation: number;
  /** Most units that a search removes. */
  readonly removals: number;
  /** Folder that keeps partial results; without one, nothing is kept. */
  readonly folder?: string | undefined;
  /** Tokens that go through the model together where hidden states are compared. Default: 8,192. */
  readonly groupTokens?: number | undefined;
  /** Shows the progress of so many steps, one after another. Default: nobody sees it. */
  readonly progress?: Context["progress"] | undefined;
}

/**
 * Pairs of criterion and target.
 * @param criteria ids with commas between; @param targets the same, or undefined for each criterion's usual ones
 * @throws UserError that names what there is
 */
export function wantedOf(criteria: string, targets: string | undefined): Wanted[] {
  const ids = [...new Set(criteria.split(",").map((id) => id.trim()))];
  const named = targets?.split(",").map((target) => target.trim());
  const unknown = named?.find((target) => !TARGETS.includes(target as Target));
  if (unknown !== undefined) throw new UserError(`--target ${unknown}: there are ${TARGETS.join(", ")}`);
  return ids.flatMap((id) => {
    const criterion = CRITERIA.get(id);
    if (!criterion) throw new UserError(`--criterion ${id}: there are ${[...CRITERIA.keys()].join(", ")}`);
    const { usual, targets: known } = criterion;
    const missing = named?.find((target) => !known.includes(target as Target));
    if (missing !== undefined) throw new UserError(`criterion ${id} ranks ${known.join(", ")}, and no ${missing}`);
    return ((named as Target[] | undefined) ?? usual).map((target) => ({ criterion, target }));
  });
}

/** @throws UserError when there are fewer sequences than `evaluation` */
export async function* measureImportance(options: MeasureOptions): AsyncGenerator<Measured> {
  const { checkpoint, calibration, wanted, removals, folder } = options;
  const { tokens, digest } = calibration;
  if (!(Number.isInteger(removals) && removals > 0)) throw new UserError("--remove must be 1 or more");
  const evaluation = some(tokens, options.evaluation);
  const log = <T>(name: string, ...more: string[]): WorkLog<T> =>
    folder === undefined ? memoryLog() : openWorkLog(folder, name, [checkpoint.digest, digest, ...more]);
  const forward = createForward({ shape: checkpoint.shape });
  const model = openModel(checkpoint);
  let means: Promise<StateMeans> | undefined;
  try {
    for (const { criterion, target } of wanted) {
      const progress: Context["progress"] = (total) => {
        if (!options.progress || total === 0) return { step: () => undefined, end: () => undefined };
        const { step, end } = options.progress(total);
        return { step: (note) => step(() => `${criterion.id} ${target} ${note()}`), end };
      };
      const ranking = await criterion.measure(
        {
          forward,
          model,
          evaluation,
          removals,
          progress,
          perplexities: log<number>("perplexities", `${evaluation.sequences}`),
          states() {
            means ??= measureStates({
              forward,
              model,
              tokens,
              progress,
              groupTokens: options.groupTokens,
              // Sums are kept by groups: those of other groups are other sums.
              log: log<StateSums>("states", ...(options.groupTokens === undefined ? [] : [`${options.groupTokens}`])),
            });
            return means;
          },
        },
        target,
      );
      yield { criterion, target, ranking };
    }
  } finally {
    await forward.close();
  }
}

/** Sequences at equal distances. */
function some({ sequences, length, ids }: Tokens, count: number): Tokens {
  if (!(Number.isInteger(count) && count > 0 && count <= sequences)) {
    throw new UserError(`--evaluation must be 1 to ${sequences}, the number of calibration sequences`);
  }
  const chosen = new Int32Array(count * length);
  for (let i = 0; i < count; i++) {
    const from = Math.floor((i * sequences) / count) * length;
    chosen.set(ids.subarray(from, from + length), i * length);
  }
  return { sequences: count, length, ids: chosen };
}
