// An experiment as clients write it. This schema is the only definition of the format.
import { z } from "zod";
import { AUTO } from "../variants/index.ts";
import { METRIC_NAMES, metricKind, scaleOf } from "./metrics.ts";

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]*$/, "use lower-case letters, digits, dots, hyphens and underscores")
  .max(64);
const headerName = z
  .string()
  .regex(/^[A-Za-z0-9-]+$/, "use the name of a header: letters, digits and hyphens")
  .max(100);

const audienceSchema = z.strictObject({
  /** Ids of API keys. Default: all. */
  keys: z.array(z.string().min(1)).min(1).max(1000).optional(),
  /** Only requests with this header, and one of the values if there are any. */
  header: z.strictObject({ name: headerName, values: z.array(z.string()).min(1).max(100).optional() }).optional(),
  /** Share of the units that take part; the others are served as if there were no experiment. */
  share: z
    .number()
    .gt(0, "must be above 0: it is a share of the units")
    .max(1, "must be at most 1: it is a share of the units")
    .default(1),
});
export type Audience = z.infer<typeof audienceSchema>;

/** What keeps its arm: the request's `user`, the API key, or a header's value. */
const unitSchema = z.union([z.enum(["user", "key"]), z.strictObject({ header: headerName })]);
export type UnitKind = z.infer<typeof unitSchema>;

const metricSchema = z
  .strictObject({
    metric: z.enum(METRIC_NAMES),
    /** The mean over units of each unit's mean, or this quantile of the units' means. */
    statistic: z.union([z.literal("mean"), z.strictObject({ quantile: z.number().gt(0).lt(1) })]).default("mean"),
    /** The largest loss that is accepted, in the metric's unit; for times and lengths of the logarithm, where 0.1 is about 10 %. */
    margin: z.number().gt(0, "must be above 0: it is how much worse a treatment may be; leave out the sign"),
    /** Overrides which way is better. */
    better: z.enum(["higher", "lower"]).optional(),
    /** Times and lengths: values beyond these bounds, in ms or tokens, are clipped. The narrower, the fewer units a mean needs. */
    range: z.tuple([z.number().gt(0), z.number().gt(0)]).optional(),
  })
  .superRefine(({ metric, statistic, margin, range }, context) => {
    const { better, controlIs, isLog } = metricKind(metric);
    const { width } = scaleOf({ metric, range });
    const refuse = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
    if (!better) {
      refuse("metric", `${metric} has no bounds: it is shown with the results and never judged; leave it out here`);
    } else if (statistic !== "mean" && !isLog) {
      refuse(
        "statistic",
        `${metric} is judged by its mean${controlIs === undefined ? "" : " against the control's"}; use "mean"`,
      );
    } else if (range && !isLog) {
      refuse("range", `${metric} has bounds of its own; leave it out`);
    } else if (!(width > 0)) {
      refuse("range", "the second bound must be above the first");
    } else if (margin >= width) {
      refuse("margin", `must be below ${Number(width.toPrecision(4))}: ${metric} cannot differ by more`);
    }
  });
export type MetricSpec = z.infer<typeof metricSchema>;

/**
 * The schema of an experiment.
 *
 * @param policy schema of a routing policy, which an arm with the model `auto` may bring
 */
export function createExperimentSchema<Policy extends z.ZodType>(policy: Policy) {
  const armSchema = z.strictObject({
    name,
    /** Id of a variant, or `auto`. */
    model: z.string().min(1),
    weight: z.number().min(0).max(1),
    policy: policy.optional(),
  });
  return z
    .strictObject({
      id: name,
      arms: z.array(armSchema).min(2, "needs two arms or more").max(8, "takes at most 8 arms"),
      /** Name of the arm that the others are compared with. */
      control: name,
      audience: audienceSchema.default({ share: 1 }),
      unit: unitSchema.default("user"),
      primary: metricSchema,
      guardrails: z.array(metricSchema).max(8, "takes at most 8 guardrails").default([]),
      /** Probability that any verdict of the experiment is ever wrong. */
      alpha: z.number().gt(0).max(0.5).default(0.05),
      /** A unit's requests that begin so long after its first one count; 0 counts the first alone. */
      window_seconds: z.int().min(0).max(2_592_000).default(86_400),
      /** How long after that outcomes may still come in (slow answers, ratings) before the unit is closed and counts. */
      settle_seconds: z.int().min(0).max(2_592_000).default(600),
      /**
       * Where agreement is judged: the share of the control's answers that are run through each treatment. Scoring an answer takes about twice
       * the work of giving it, and all scoring together gets the share of work that `SHADOW_SHARE` says.
       */
      shadow_share: z.number().gt(0).max(1).default(0.05),
      start: z.iso.datetime({ offset: true }).optional(),
      end: z.iso.datetime({ offset: true }).optional(),
      /** What a verdict does by itself: `promote` gives all units to a winner, `stop` takes all from a loser, `both`, or nothing. */
      on_verdict: z.enum(["none", "promote", "stop", "both"]).default("none"),
      /** What a winner must be on the primary metric to be promoted. All guardrails must be non-inferior or better as well. */
      promote_when: z.enum(["superior", "non-inferior"]).default("superior"),
    })
    .superRefine(({ arms, control, primary, guardrails, start, end }, context) => {
      const refuse = (path: PropertyKey[], message: string) => context.addIssue({ code: "custom", path, message });
      arms.forEach((arm, index) => {
        const { name, model, policy } = arm as { name: string; model: string; policy?: unknown };
        if (arms.findIndex((other) => other.name === name) < index)
          refuse(["arms", index, "name"], `${name} is there twice`);
        if (policy !== undefined && model !== AUTO)
          refuse(["arms", index, "policy"], 'goes only with the model "auto"');
      });
      const sum = arms.reduce((total, { weight }) => total + weight, 0);
      if (Math.abs(sum - 1) >= 1e-6)
        refuse(["arms"], `the weights sum to ${Number(sum.toPrecision(6))}; make them sum to 1`);
      if (!arms.some((arm) => arm.name === control)) {
        refuse(["control"], `there is no arm ${control}; the arms are ${arms.map((arm) => arm.name).join(", ")}`);
      }
      const isShadowed = [primary, ...guardrails].some(({ metric }) => metric === "agreement");
      arms.forEach((arm, index) => {
        const { name, model } = arm as { name: string; model: string };
        if (isShadowed && name !== control && model === AUTO)
          refuse(["arms", index, "model"], "agreement runs answers through a treatment's variant: name one, not auto");
      });
      const seen = new Set([metricId(primary)]);
      guardrails.forEach((spec, index) => {
        if (seen.has(metricId(spec))) refuse(["guardrails", index], `${metricId(spec)} is judged twice; leave one out`);
        seen.add(metricId(spec));
      });
      if (start && end && Date.parse(end) <= Date.parse(start)) refuse(["end"], "must be after start");
    });
}
export type Experiment = z.infer<ReturnType<typeof createExperimentSchema>>;

/** A metric and its statistic in one word: `latency_p90`, `rating`. */
export const metricId = ({ metric, statistic }: Pick<MetricSpec, "metric" | "statistic">): string =>
  statistic === "mean" ? metric : `${metric}_p${Number((statistic.quantile * 100).toPrecision(6))}`;
