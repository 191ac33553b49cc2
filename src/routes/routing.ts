// GET /v1/decisions/{id} and GET /v1/routing: why a variant answered, and what the latency model has learnt.
import { createRoute, z } from "@hono/zod-openapi";
import { ApiError, errorResponses } from "../openai/index.ts";
import type { DecisionRecord, Limit, Lost, Rule } from "../routing/index.ts";
import { bearer } from "./bearer.ts";
import type { AddRoutes } from "./context.ts";

const LIMIT_NAMES = ["latency_ms", "ttft_ms", "tpot_ms", "min_hellaswag", "max_perplexity"] as const satisfies Limit[];

const RULES: Readonly<Record<Rule, string>> = {
  pinned: "the request named it",
  experiment: "the request takes part in an experiment, and this is its arm",
  best: "the best scores; where the budget is a promise, of those that are predicted to keep it",
  tied_cheaper:
    "no recorded measure tells it apart from the best, and it computes less: a hundredth of the base's quality for a tenth of the computation",
  useful: "the greatest expected usefulness, or the best variant where none is more useful by 0.04",
  surest: "within a twentieth of the greatest expected usefulness, and likelier to be in time",
  kept: "within a twentieth of the greatest expected usefulness, and served this key's last request with the same budget",
  fastest: "the shortest answer time within the budget, as asked for",
  cheapest: "the least computation within the budget, as asked for",
  explore: "within a tenth of the greatest expected usefulness: tried to keep its estimates fresh",
  unscored: "within the budget, and no variant that is has recorded scores",
  nearest: "none is predicted to meet the budget; this one comes nearest",
};

const LOST: Readonly<Record<Lost, string>> = {
  latency_ms: "predicted to break this limit",
  ttft_ms: "predicted to break this limit",
  tpot_ms: "predicted to break this limit",
  min_hellaswag: "its recorded score breaks this limit, or there is none",
  max_perplexity: "its recorded score breaks this limit, or there is none",
  quarantined: "what it serves is not what was scored",
  capacity: "prompt and reply do not fit its memory",
  unscored: "has no recorded scores, and others that meet the budget have, or compute more",
  research: "kept to study, its text is mostly broken: answers only where `allow_research` says so",
  less_useful: "its expected usefulness is less, or not by 0.04 more than the best variant's",
  less_sure: "about as useful, and not the surest, or not the one that served last",
  lower_quality: "its scores are worse",
  tied_dearer: "no recorded measure tells it apart from the one chosen, and it computes more than that is worth",
  slower: "takes longer",
  dearer: "computes more",
  not_explored: "another one was tried",
  further_off: "further from the budget",
  not_asked_for: "the request named another",
};

const table = (meanings: Readonly<Record<string, string>>): string =>
  Object.entries(meanings)
    .map(([name, meaning]) => `- \`${name}\`: ${meaning}`)
    .join("\n");

const oneOf = <K extends string>(meanings: Readonly<Record<K, string>>) =>
  z.enum(Object.keys(meanings) as [K, ...K[]]).openapi({ description: table(meanings) });

const times = <T extends z.ZodType>(schema: T) => z.object({ ttft: schema, tpot: schema, latency: schema });
const levels = (description: string) =>
  z.object({ p50: z.number(), p90: z.number(), p99: z.number(), budgeted: z.number() }).openapi({ description });

const decisionSchema = z
  .object({
    id: z.string().openapi({ example: "dec_0f2a6c1e9b7d4853" }),
    object: z.literal("routing.decision"),
    created: z.int().openapi({ description: "Unix seconds." }),
    request_id: z.string(),
    model: z.string().openapi({ description: "As the request had it." }),
    variant: z.string().openapi({ description: "What answered." }),
    rule: oneOf(RULES),
    experiment: z
      .object({ id: z.string(), epoch: z.int(), arm: z.string() })
      .nullable()
      .openapi({ description: "The experiment that the request took part in." }),
    budget: z.object({
      latency_ms: z.number().nullable(),
      ttft_ms: z.number().nullable(),
      tpot_ms: z.number().nullable(),
      min_hellaswag: z.number().nullable(),
      max_perplexity: z.number().nullable(),
      prefer: z.enum(["quality", "speed", "cost"]),
      quantile: z.number().nullable(),
      strict: z.boolean(),
      downshift: z.boolean(),
      allow_research: z.boolean(),
    }),
    quantile: z.number().openapi({ description: "Share of outcomes within what is told as `budgeted`." }),
    elapsed_ms: z.number().openapi({ description: "Time of the budget that had gone by before the decision." }),
    prompt_tokens: z.int(),
    max_tokens: z.int(),
    expected_tokens: z.object({ p50: z.int(), budgeted: z.int() }),
    load: z.int().openapi({ description: "Requests of this gateway under way at the replica." }),
    breaks: z.array(z.enum(LIMIT_NAMES)).openapi({
      description:
        "Limits that the variant was predicted to break: those in time more likely than not, or, where the budget has a `quantile` or is strict, with less than that probability to be kept.",
    }),
    predicted_ms: times(levels("Quantiles; `budgeted` is the one at `quantile`.")),
    candidates: z.array(
      z.object({
        variant: z.string(),
        predicted_ms: times(z.number()).nullable().openapi({ description: "At `quantile`." }),
        acc_norm: z.number().nullable().openapi({ description: "HellaSwag, percent, as recorded." }),
        word_perplexity: z.number().nullable(),
        quality: z.number().nullable().openapi({
          description:
            "What an answer in time is worth, 0 to 1 (the base): the share of the base's acc_norm above chance (25 %), or 1 - log(ppl / base's) / log 4 where that is less; by one of them where the budget or an experiment says which.",
        }),
        in_time: z.number().nullable().openapi({ description: "Probability that it keeps all limits in time." }),
        expected_usefulness: z.number().nullable().openapi({
          description:
            "`in_time` times `quality`, less half of what the answer is expected to take from later requests while it keeps the replica busy, in the same measure.",
        }),
        lost: oneOf(LOST)
          .nullable()
          .openapi({ description: `Null for the one that answered.\n${table(LOST)}` }),
      }),
    ),
    actual: z
      .object({
        ttft_ms: z.number().nullable(),
        tpot_ms: z.number().nullable(),
        latency_ms: z.number(),
        tokens: z.int(),
        complete: z.boolean().openapi({ description: "The answer came to its own end." }),
        broke: z.array(z.enum(LIMIT_NAMES)).openapi({ description: "Limits of the budget that it broke." }),
        downshifts: z
          .array(z.object({ variant: z.string(), from_token: z.int() }))
          .openapi({ description: "Variants that went on with the answer, each from one of its tokens on." }),
      })
      .nullable()
      .openapi({ description: "Null until the answer has ended." }),
  })
  .openapi("Decision");

const decisionRoute = createRoute({
  method: "get",
  path: "/v1/decisions/{id}",
  summary: "Say why a variant answered",
  description:
    "The id is in the reply's header `x-franken-decision`. Only the key that the request was made with can read it. Holds no text of prompt or answer.",
  security: [bearer],
  request: { params: z.object({ id: z.string().openapi({ example: "dec_0f2a6c1e9b7d4853" }) }) },
  responses: {
    200: { description: "The decision.", content: { "application/json": { schema: decisionSchema } } },
    ...errorResponses("invalid_api_key", "decision_not_found", "internal_error", "misconfigured"),
  },
});

const share = z.number().min(0).max(1);
const calibrationSchema = z
  .object({ requests: z.number(), within: z.object({ p50: share, p90: share, p99: share, budgeted: share }) })
  .optional();

const routingSchema = z
  .object({
    object: z.literal("routing"),
    quantile: z.number(),
    variants: z.array(
      z.object({
        variant: z.string(),
        observations: z.number().openapi({ description: "Requests behind its predictions; older ones count less." }),
        predicted_ms: times(z.object({ p50: z.number(), budgeted: z.number() })).openapi({
          description: "Of an idle replica, for a prompt and a reply of 64 tokens each.",
        }),
        calibration: times(calibrationSchema).openapi({
          description: "Share of the requests whose measured time was within what was predicted at each level.",
        }),
      }),
    ),
  })
  .openapi("Routing");

const EXAMPLE_TOKENS = 64;

const routingRoute = createRoute({
  method: "get",
  path: "/v1/routing",
  summary: "Tell what routing has learnt of each variant's latency",
  security: [bearer],
  responses: {
    200: {
      description: "Predictions and how well they held.",
      content: { "application/json": { schema: routingSchema } },
    },
    ...errorResponses("invalid_api_key", "internal_error", "misconfigured"),
  },
});

export const addRoutingRoutes: AddRoutes = (app, { router }) => {
  app.openapi(decisionRoute, async (c) => {
    const { id } = c.req.valid("param");
    const found = await router.find(id);
    if (!found || found.key !== c.get("access").keyId) {
      throw new ApiError(
        "decision_not_found",
        `There is no decision '${id.slice(0, 100)}' of a request with this key.`,
        {
          param: "id",
        },
      );
    }
    const record = mutable(found.record);
    return c.json(record, 200);
  });
  app.openapi(routingRoute, async (c) => {
    const { quantile, variants } = await router.report((promise) => c.executionCtx.waitUntil(promise), EXAMPLE_TOKENS);
    return c.json(
      {
        object: "routing" as const,
        quantile,
        variants: variants.map(({ variant, observations, predicted, calibration }) => ({
          variant,
          observations: Math.round(observations),
          predicted_ms: byMetric((metric) => ({ p50: predicted[metric].p50, budgeted: predicted[metric].high })),
          calibration: byMetric((metric) => {
            const held = calibration[metric];
            if (!held) return undefined;
            const { high, ...within } = held.within;
            return { requests: held.requests, within: { ...within, budgeted: high } };
          }),
        })),
      },
      200,
    );
  });
};

const byMetric = <T>(value: (metric: "ttft" | "tpot" | "latency") => T) => ({
  ttft: value("ttft"),
  tpot: value("tpot"),
  latency: value("latency"),
});

/** The same record, in the type that a schema infers. Records of before lack some fields. */
const mutable = (record: DecisionRecord): z.infer<typeof decisionSchema> => ({
  ...record,
  experiment: record.experiment ?? null,
  budget: {
    ...record.budget,
    quantile: record.budget.quantile ?? null,
    allow_research: record.budget.allow_research ?? false,
  },
  breaks: [...record.breaks],
  candidates: record.candidates.map((candidate) => ({
    ...candidate,
    quality: candidate.quality ?? null,
    in_time: candidate.in_time ?? null,
    expected_usefulness: candidate.expected_usefulness ?? null,
  })),
  actual: record.actual && {
    ...record.actual,
    broke: [...record.actual.broke],
    downshifts: [...record.actual.downshifts],
  },
});
