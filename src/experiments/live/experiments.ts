// The service that routes use: wires what the other files of this folder do.
import type { Recorder } from "../../storage/index.ts";
import { type Assign, type AssignOptions, createAssign } from "./assignment.ts";
import { createRate, type Rate } from "./feedback.ts";
import { type RequestOutcome, recordOutcomes } from "./outcomes.ts";
import { createResults, type ResultsOf } from "./results.ts";
import { createRunning, type RunningExperiments } from "./running.ts";
import { createExperimentStore, type ExperimentStore } from "./store.ts";
import { createVerdicts } from "./verdicts.ts";

export interface Experiments {
  readonly store: ExperimentStore;
  readonly running: RunningExperiments;
  readonly assign: Assign;
  readonly rate: Rate;
  readonly resultsOf: ResultsOf;
  /** Records what became of a request; for `waitUntil`. */
  record(outcomes: readonly RequestOutcome[]): Promise<void>;
  /** Looks at every experiment that runs and does what its verdicts ask for; for the trigger. */
  look(): Promise<void>;
}

export interface ExperimentsOptions extends Pick<AssignOptions, "whyNot"> {
  readonly db: D1Database;
  readonly recorder: Recorder;
  /** Milliseconds since 1970. */
  now(): number;
  readonly log: (entry: object) => void;
}

export function createExperiments({ db, recorder, now, log, whyNot }: ExperimentsOptions): Experiments {
  const store = createExperimentStore(db);
  const resultsOf = createResults(db);
  const onAway = (error: unknown): void =>
    log({ event: "experiments_away", message: error instanceof Error ? error.message : String(error) });
  const running = createRunning({ db, now, onAway });
  const verdicts = createVerdicts({ store, resultsOf, recorder, now, log });
  return {
    store,
    running,
    resultsOf,
    assign: createAssign({ running, recorder, whyNot, now }),
    rate: createRate({ db, recorder, now }),
    record: (outcomes) => recordOutcomes(recorder, outcomes),
    async look() {
      await verdicts();
      await running.reload();
    },
  };
}
