// Experiments and their results as clients see them.
import { z } from "@hono/zod-openapi";
import {
  type ExperimentResults,
  experimentSchema,
  type StoredExperiment,
  statusOf,
} from "../experiments/live/index.ts";

// A schema made before @hono/zod-openapi was loaded has no `openapi`; its clone has.
export const experimentRequestSchema = experimentSchema.clone().openapi("ExperimentRequest", {
  description:
    "Arms with weights that sum to 1, each a variant or `auto` with a routing `policy`; who takes part (`audience`); what keeps its arm (`unit`: the `user` field, the key, or a header); and what is judged. `margin` is the loss that is accepted, above 0.",
  example: {
    id: "attn-drop-10",
    arms: [
      { name: "base", model: "smollm2-135m", weight: 0.5 },
      { name: "drop", model: "smollm2-135m-attn-drop-10", weight: 0.5 },
    ],
    control: "base",
    primary: { metric: "rating", margin: 0.1 },
    guardrails: [{ metric: "error", margin: 0.02 }],
    on_verdict: "stop",
  },
});

const experimentFields = {
  object: z.literal("experiment"),
  id: z.string(),
  status: z.enum(["scheduled", "running", "stopped", "ended"]),
  created: z.int().openapi({ description: "Unix seconds." }),
  epoch: z.int().openapi({ description: "Counts the changes of weights, from 0." }),
  epochs: z.array(
    z.object({
      from: z.iso.datetime(),
      weights: z.record(z.string(), z.number()),
    }),
  ),
  definition: z
    .looseObject({})
    .openapi({ description: "As it was asked for, with defaults and what was changed since." }),
};
export const experimentReplySchema = z.object(experimentFields).openapi("Experiment");

export const experimentWithLogSchema = z
  .object({
    ...experimentFields,
    log: z
      .array(
        z.object({
          at: z.iso.datetime(),
          action: z.string(),
          by: z.string().openapi({ description: "Id of a key, `verdict`, or `gateway`." }),
          detail: z.looseObject({}).openapi({ description: "What was changed, or the evidence." }),
        }),
      )
      .openapi({ description: "Every step, oldest first." }),
  })
  .openapi("ExperimentWithLog");

export const experimentListSchema = z
  .object({ object: z.literal("list"), data: z.array(experimentReplySchema) })
  .openapi("ExperimentList");

export const deletedExperimentSchema = z
  .object({ id: z.string(), object: z.literal("experiment"), deleted: z.literal(true) })
  .openapi("DeletedExperiment");

const weight = z.number().min(0, "must be from 0 to 1").max(1, "must be from 0 to 1");
export const experimentPatchSchema = z
  .strictObject({
    weights: z
      .record(z.string(), weight)
      .optional()
      .openapi({ description: "By arm; arms that are left out keep theirs. Begins a new epoch." }),
    start: z.iso.datetime({ offset: true }).optional(),
    end: z.iso.datetime({ offset: true }).optional(),
    status: z
      .enum(["running", "stopped"])
      .optional()
      .openapi({ description: "`running` starts a scheduled one now; `stopped` stops it for good." }),
    on_verdict: z.enum(["none", "promote", "stop", "both"]).optional(),
  })
  .openapi("ExperimentPatch", { example: { weights: { base: 0.2, drop: 0.8 } } });
export type ExperimentPatch = z.infer<typeof experimentPatchSchema>;

const limit = z.number().nullable();
export const experimentResultsSchema = z
  .object({
    object: z.literal("experiment.results"),
    experiment: z.string(),
    status: experimentFields.status,
    epoch: z.int(),
    sample_ratio: z.object({
      p_value: z.number(),
      alarm: z.boolean().openapi({ description: "The split is broken: no verdict is acted on." }),
      exposed: z.record(z.string(), z.int()),
      expected: z.record(z.string(), z.number()),
    }),
    metrics: z.array(
      z.object({
        metric: z.string(),
        title: z.string(),
        unit: z.string(),
        is_log: z.boolean().openapi({ description: "Differences are of natural logarithms: 0.1 is about 10 %." }),
        role: z.enum(["primary", "guardrail"]),
        treatment: z.string(),
        control: z.string(),
        margin: z.number(),
        alpha: z.number().openapi({ description: "Probability that these limits ever miss." }),
        verdict: z.enum(["superior", "non-inferior", "inferior", "undecided"]),
        treatment_value: limit,
        control_value: limit,
        units_needed: limit.openapi({ description: "About how many more until there is a verdict." }),
        series: z
          .array(z.object({ units: z.int(), at: z.number(), estimate: limit, lower: limit, upper: limit }))
          .openapi({
            description:
              "Treatment minus control, positive is better, as units came in; `at` in milliseconds since 1970. The last point is how things are.",
          }),
      }),
    ),
    shown: z
      .array(
        z.object({
          metric: z.string(),
          title: z.string(),
          unit: z.string(),
          treatment: z.string(),
          units: z.int(),
          value: z.number(),
        }),
      )
      .openapi({ description: "Means without bounds: never judged." }),
  })
  .openapi("ExperimentResults");

export function experimentReply(stored: StoredExperiment, now: number) {
  const { spec, epochs, createdAt } = stored;
  return {
    object: "experiment" as const,
    id: spec.id,
    status: statusOf(stored, now),
    created: Math.floor(createdAt / 1000),
    epoch: epochs.length - 1,
    epochs: epochs.map(({ from, layout }) => ({
      from: new Date(from).toISOString(),
      weights: Object.fromEntries(
        spec.arms.map(({ name }) => [
          name,
          layout.reduce((sum, segment) => sum + (segment.arm === name ? segment.to - segment.from : 0), 0) / 1e6,
        ]),
      ),
    })),
    definition: spec,
  };
}

export const resultsReply = (results: ExperimentResults, stored: StoredExperiment, now: number) => ({
  object: "experiment.results" as const,
  status: statusOf(stored, now),
  ...results,
});
