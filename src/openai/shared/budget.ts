// The wire form of a budget: headers, or the body's field `budget`, over the defaults of the key.
import { z } from "@hono/zod-openapi";
import { hasLimit, LIMITS, type Limit } from "../../routing/index.ts";
import { type StatedBudget, statedBudget } from "../../serving/index.ts";
import { ApiError } from "./errors.ts";
import { validate } from "./validate.ts";

/** A day: whoever has more time needs no budget. */
const MOST_MS = 86_400_000;
const milliseconds = (description: string) =>
  z
    .number()
    .positive()
    .max(MOST_MS)
    .nullish()
    .openapi({ description: `Milliseconds. ${description}` });

/** The field `budget`, and what a key may have as its default. `null` takes a default of the key away. */
export const budgetSchema = z
  .strictObject({
    latency_ms: milliseconds("From the request's arrival to the end of the answer."),
    ttft_ms: milliseconds("From the request's arrival to the first token."),
    tpot_ms: milliseconds("Mean time between tokens."),
    min_hellaswag: z
      .number()
      .min(0)
      .max(100)
      .nullish()
      .openapi({ description: "Least HellaSwag acc_norm of the variant, in percent, as recorded." }),
    max_perplexity: z
      .number()
      .min(1)
      .nullish()
      .openapi({ description: "Most WikiText-2 word perplexity of the variant, as recorded." }),
    prefer: z.enum(["quality", "speed", "cost"]).nullish().openapi({
      description:
        "What to look for among the variants that meet the budget: the best scores (the default), the shortest answer time, or the least computation.",
    }),
    quantile: z.number().gt(0.5).lt(1).nullish().openapi({
      description:
        "Makes the limits in time a promise: only variants answer that are predicted to keep them with this probability, the best of them. Default: none; the variant answers whose expected usefulness is greatest, the probability to be in time times the quality.",
    }),
    strict: z.boolean().nullish().openapi({
      description:
        "Refuse the request with `budget_unmet` if no variant is predicted to meet it, with the probability `quantile` (default: the gateway's, 0.95). Default: false.",
    }),
    downshift: z.boolean().nullish().openapi({
      description:
        "An answer that falls behind `latency_ms` goes on with a lighter variant that shares its KV caches; the reply's `franken.downshifts` says from which token. The text then depends on timing as well as on the seed. Default: false.",
    }),
    allow_research: z.boolean().nullish().openapi({
      description:
        "Lets `auto` answer with variants of the status `research`, whose text is mostly broken. Default: false.",
    }),
  })
  .openapi("Budget", {
    description:
      "For `model: \"auto\"`, the variant of the greatest expected usefulness answers: the probability that it keeps the limits in time, times its quality as a share of the base's. Where none is likely to, the nearest does. With a variant's id as `model`, that variant answers, and the budget is only reported; with `strict`, it is refused if it is predicted not to meet the budget.",
    example: { latency_ms: 2000, min_hellaswag: 35 },
  });
export type WireBudget = z.infer<typeof budgetSchema>;
type Field = keyof WireBudget;

/** Fields by the headers that carry them too. */
export const BUDGET_HEADERS = {
  "x-latency-budget-ms": "latency_ms",
  "x-ttft-budget-ms": "ttft_ms",
  "x-tpot-budget-ms": "tpot_ms",
  "x-min-hellaswag": "min_hellaswag",
  "x-max-perplexity": "max_perplexity",
  "x-prefer": "prefer",
  "x-budget-quantile": "quantile",
  "x-budget-strict": "strict",
  "x-budget-downshift": "downshift",
  "x-allow-research": "allow_research",
} as const satisfies Record<string, Field>;
type Header = keyof typeof BUDGET_HEADERS;

/** What a header's text stands for: numbers and words, as JSON has them. */
function readValue(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

/**
 * The budget of a request: what it says itself, in headers or body, over the key's defaults.
 * @param body the body's field `budget`, as it was validated
 * @throws ApiError that names the header or field at fault
 */
export function readBudget(
  header: (name: string) => string | undefined,
  body: WireBudget | null | undefined,
  defaults: WireBudget = {},
): StatedBudget {
  const own: Record<string, unknown> = { ...body };
  const from: Partial<Record<Field, string>> = {};
  for (const field of Object.keys(own) as Field[]) from[field] = `budget.${field}`;
  for (const [name, field] of Object.entries(BUDGET_HEADERS) as [Header, Field][]) {
    const text = header(name);
    if (text === undefined) continue;
    const value = readHeader(name, field, text.trim());
    if (own[field] != null && own[field] !== value) {
      throw new ApiError(
        "invalid_value",
        `The header '${name}' (${value}) and 'budget.${field}' (${own[field]}) differ. Give only one of them.`,
        { param: name },
      );
    }
    own[field] = value;
    from[field] = name;
  }
  const budget = own as WireBudget;
  refuseContradictions(budget, (field) => from[field] ?? field);
  const stated = toBudget({ ...defaults, ...withoutUndefined(budget) }, from);
  const merged = stated.budget;
  if (budget.strict && !hasLimit(merged)) {
    throw new ApiError(
      "invalid_value",
      `'${from.strict}' needs a budget to be strict about: ${Object.keys(LIMITS).join(", ")}.`,
      { param: from.strict },
    );
  }
  if (budget.downshift && merged.latencyMs === undefined) {
    throw new ApiError(
      "invalid_value",
      `'${from.downshift}' needs 'latency_ms': the time that an answer may fall behind.`,
      {
        param: from.downshift,
      },
    );
  }
  return stated;
}

function readHeader(name: Header, field: Field, text: string): unknown {
  const value = readValue(text);
  const result = budgetSchema.shape[field].safeParse(value);
  if (result.success && value !== null) return value;
  const why = result.error?.issues[0]?.message ?? "expected a value";
  throw new ApiError("invalid_value", `Invalid value for the header '${name}': ${why}.`, { param: name });
}

/** @throws ApiError `invalid_value` when a part is allowed more time than the whole */
function refuseContradictions(budget: WireBudget, nameOf: (field: Field) => string): void {
  const { latency_ms: latency } = budget;
  for (const field of ["ttft_ms", "tpot_ms"] as const) {
    const part = budget[field];
    if (latency != null && part != null && part > latency) {
      throw new ApiError(
        "invalid_value",
        `'${nameOf(field)}' (${part}) is more than '${nameOf("latency_ms")}' (${latency}): the whole answer cannot be there before a part of it.`,
        { param: nameOf(field) },
      );
    }
  }
}

/**
 * Checks what a key's configuration says.
 * @throws ApiError that names the field
 */
export function parseBudgetDefaults(value: unknown): WireBudget {
  const defaults = validate(budgetSchema, value);
  refuseContradictions(defaults, (field) => field);
  return defaults;
}

const withoutUndefined = (budget: WireBudget): WireBudget =>
  Object.fromEntries(Object.entries(budget).filter(([, value]) => value !== undefined));

function toBudget(wire: WireBudget, from: Partial<Record<Field, string>>): StatedBudget {
  const limits = Object.keys(LIMITS) as Limit[];
  const names = Object.fromEntries(limits.map((limit) => [limit, from[limit] ?? `budget.${limit}`]));
  return statedBudget(
    {
      latencyMs: wire.latency_ms,
      ttftMs: wire.ttft_ms,
      tpotMs: wire.tpot_ms,
      minHellaswag: wire.min_hellaswag,
      maxPerplexity: wire.max_perplexity,
      prefer: wire.prefer,
      quantile: wire.quantile,
      strict: wire.strict,
      downshift: wire.downshift,
      allowResearch: wire.allow_research,
    },
    names as StatedBudget["names"],
  );
}
