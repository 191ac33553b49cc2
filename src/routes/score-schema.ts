// Scores as the API tells them.
import { z } from "@hono/zod-openapi";
import { metricsOf, type Quarantines, type RecordedScore, type RunRow, type Scoreboard } from "../monitor/index.ts";

const metricsSchema = z
  .record(
    z.string(),
    z.object({
      value: z.number(),
      stderr: z.number().optional().openapi({ description: "Standard error; absent with fewer than two items." }),
    }),
  )
  .openapi("Metrics", { example: { acc_norm: { value: 0.408, stderr: 0.0155 } } });

export const scoreSchema = z
  .object({
    variant: z.string(),
    task: z.string(),
    kind: z.enum(["recorded", "served"]).openapi({
      description:
        "`recorded`: measured beforehand, committed with the project. `served`: by this service, on what serves.",
    }),
    items: z.int().openapi({ description: "Items measured." }),
    total: z.int().openapi({ description: "Items of the run; `items` is lower while it is under way." }),
    failed: z.int().openapi({ description: "Items among them that gave no result." }),
    compared: z.int().openapi({ description: "Items among them of which there is a record." }),
    discordant: z.int().openapi({ description: "Items among those whose result is not the recorded one." }),
    metrics: metricsSchema,
    digests: z
      .object({ variant: z.string(), engine: z.string(), data: z.string() })
      .openapi({ description: "What it was measured of, on and with: another digest, another score." }),
    command: z.string().nullable().openapi({ description: "What measures a recorded score again." }),
    measured_at: z.iso.datetime(),
  })
  .openapi("Score");
export type Score = z.infer<typeof scoreSchema>;

export const healthSchema = z
  .object({
    state: z.enum(["healthy", "quarantined"]).openapi({
      description:
        "`quarantined`: what it answers is not what was recorded of it. `auto` does not choose it; requests that name it get the header `x-franken-warning`.",
    }),
    reason: z.string().nullable(),
    since: z.iso.datetime().nullable(),
  })
  .openapi("VariantHealth");

/** Recorded ones first, then those that the service measured; `served` is false when these cannot be read at the moment. */
/** What is known of the variants besides what they are. */
export interface Measured {
  readonly scores: readonly Score[];
  /** Whether the scores that the service measured are among them: false while D1 is away. */
  readonly served: boolean;
  readonly quarantines: Quarantines;
}

export async function readMeasured(
  board: Scoreboard,
  waitUntil: (promise: Promise<unknown>) => void,
): Promise<Measured> {
  const [served, quarantines] = await Promise.all([board.served(waitUntil), board.loadQuarantines(waitUntil)]);
  return {
    scores: [...board.recorded.all.map(describeRecorded), ...(served ?? []).map(describeServed)],
    served: served !== undefined,
    quarantines,
  };
}

export function describeHealth(quarantines: Quarantines, variant: string): z.infer<typeof healthSchema> {
  const quarantine = quarantines.get(variant);
  if (!quarantine) return { state: "healthy", reason: null, since: null };
  return { state: "quarantined", reason: quarantine.reason, since: new Date(quarantine.since).toISOString() };
}

const describeRecorded = ({ variant, task, count, metrics, digests, command, recorded }: RecordedScore): Score => ({
  variant,
  task,
  kind: "recorded",
  items: count,
  total: count,
  failed: 0,
  compared: 0,
  discordant: 0,
  metrics: { ...metrics },
  digests: { ...digests },
  command,
  measured_at: recorded,
});

const describeServed = (row: RunRow): Score => ({
  variant: row.variant,
  task: row.task,
  kind: "served",
  items: row.items,
  total: row.total,
  failed: row.failed,
  compared: row.compared,
  discordant: row.discordant,
  metrics: { ...metricsOf(row) },
  digests: { variant: row.variant_digest, engine: row.engine_digest, data: row.data_digest },
  command: null,
  measured_at: new Date(row.measured_at).toISOString(),
});
