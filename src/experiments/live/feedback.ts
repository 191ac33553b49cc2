// Ratings of answers. What an answer belongs to is in D1, or on its way there in the queue of records; a rating is written to D1 together with
// the outcome that it is, and where D1 is away it waits in the queue like any other.
import type { Recorder, RowOf } from "../../storage/index.ts";
import { StorageError } from "../../storage/index.ts";
import { outcomeRow } from "./outcomes.ts";

export interface Feedback {
  /** Id of the reply. */
  readonly id: string;
  /** From -1 to 1. */
  readonly rating: number;
  readonly text: string | undefined;
  /** Id of the API key that rates. */
  readonly key: string;
}

/** `unknown` also for answers to other keys and outside of experiments. */
export type Rate = (feedback: Feedback) => Promise<"rated" | "unknown" | "rated_before">;

export interface RateOptions {
  readonly db: D1Database;
  readonly recorder: Recorder;
  now(): number;
}

const FEEDBACK = "INSERT INTO feedback (id, experiment, rating, text, at) VALUES (?, ?, ?, ?, ?)";
const OUTCOME =
  "INSERT OR IGNORE INTO outcomes (id, experiment, epoch, unit, arm, request, metric, value, begun_at, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/** @returns a function that throws StorageError when neither queue nor D1 can say what the answer belongs to */
export function createRate({ db, recorder, now }: RateOptions): Rate {
  const completionOf = async (id: string): Promise<RowOf<"completions"> | undefined> => {
    try {
      return (
        (await recorder.waiting("completions", id)) ??
        (await db.prepare("SELECT * FROM completions WHERE id = ?").bind(id).first<RowOf<"completions">>()) ??
        undefined
      );
    } catch (cause) {
      throw new StorageError("what the answer belongs to is not at hand", { cause });
    }
  };
  return async ({ id, rating, text, key }) => {
    const found = await completionOf(id);
    if (!found || found.key !== key) return "unknown";
    // The queue may have it since D1 was away.
    if (await recorder.waiting("feedback", id)) return "rated_before";
    const at = now();
    const row = { id, experiment: found.experiment, rating, text: text ?? null, at };
    const outcome = outcomeRow({
      experiment: String(found.experiment),
      epoch: Number(found.epoch),
      unit: String(found.unit),
      arm: String(found.arm),
      request: id,
      metric: "rating",
      value: rating,
      begunAt: Number(found.begun_at),
      at,
    });
    const { experiment, epoch, unit, arm, request, metric, value, begun_at } = outcome;
    try {
      await db.batch([
        db.prepare(FEEDBACK).bind(id, row.experiment, rating, row.text, at),
        db.prepare(OUTCOME).bind(outcome.id, experiment, epoch, unit, arm, request, metric, value, begun_at, at),
      ]);
    } catch (error) {
      if (String(error).includes("UNIQUE constraint failed")) return "rated_before";
      await recorder.record("feedback", [row]);
      await recorder.record("outcomes", [outcome]);
    }
    return "rated";
  };
}
