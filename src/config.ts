// Every environment variable of the project, in one schema for each program that reads it: what it
// may be, its unit, its default and its effect. Nothing else reads variables, and
// docs/configuration.md is written from these schemas.
import { z } from "zod";
import { type Environment, type NumberVariable, REPLICA_NUMBERS } from "./replica-settings.ts";

export type { Environment } from "./replica-settings.ts";

export interface VariableInfo {
  readonly unit?: string;
  /** What holds where the variable is not set, as documentation says it. */
  readonly fallback: string;
  /** Completes "it must be". */
  readonly allowed: string;
  readonly effect: string;
}

/** What documentation says of each variable. */
export const VARIABLE_INFO = z.registry<VariableInfo>();

/** @param isAllowed is given NaN for what is no number */
function number({ fallback, isAllowed, ...info }: NumberVariable) {
  return z
    .string()
    .optional()
    .transform((text) => (text ? Number(text) : fallback))
    .refine(isAllowed, info.allowed)
    .register(VARIABLE_INFO, { ...info, fallback: fallback === Number.POSITIVE_INFINITY ? "none" : String(fallback) });
}

type TextInfo = Omit<VariableInfo, "allowed" | "fallback"> & { readonly allowed?: string; readonly fallback?: string };

function text({ allowed = "a text", fallback = "none", ...info }: TextInfo) {
  return z
    .string()
    .optional()
    .transform((value) => value || undefined)
    .register(VARIABLE_INFO, { ...info, allowed, fallback });
}

const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => ({
  isAllowed: (value: number) => Number.isInteger(value) && value >= least && value <= most,
  allowed: `a whole number from ${least}${most < Number.MAX_SAFE_INTEGER ? ` to ${most}` : ""}`,
});
const routingVariables = z.object({
  REQUEST_DEADLINE_MS: number({
    unit: "ms",
    fallback: 300_000,
    // A timer takes a longer time for none at all.
    isAllowed: (value) => value > 0 && value < 2 ** 31,
    allowed: "a number above 0 and below 2147483648",
    effect: "A reply that has not ended after this time is stopped.",
  }),
  ROUTING_QUANTILE: number({
    unit: "share",
    fallback: 0.95,
    isAllowed: (value) => value > 0.5 && value < 1,
    allowed: "a number above 0.5 and below 1",
    effect: "`auto` chooses a variant that is predicted to meet the budget in this share of replies.",
  }),
  RESPONSES_KEPT_DAYS: number({
    unit: "days",
    fallback: 30,
    isAllowed: (value) => value > 0 && value <= 36_500,
    allowed: "a number above 0 and up to 36500",
    effect: 'Stored responses (`POST /v1/responses`) are deleted after this time. `"store": false` stores none.',
  }),
  API_KEYS: text({
    fallback: "none: every request gets 500",
    allowed: "keys separated by commas, or a JSON array",
    effect:
      "Secret (`wrangler secret put API_KEYS`; locally in `.dev.vars`, which `npm start` makes). The keys of clients; " +
      "as JSON each may have a budget, limits a minute and admin rights.",
  }),
});

const monitorVariables = z.object({
  SCORES_ITEMS_PER_SLICE: number({
    ...whole(0),
    unit: "items",
    fallback: 5,
    allowed: "a whole number from 0, which switches measuring off",
    effect: "Most task items that the monitor measures each time the trigger fires; 0 switches the monitor off.",
  }),
  SCORES_ITEMS_PER_RUN: number({
    ...whole(1),
    unit: "items",
    fallback: 200,
    effect: "Items of one run of a task over a variant; then the next run begins.",
  }),
  SCORES_NULL_RATE: number({
    unit: "share",
    fallback: 0.001,
    isAllowed: (value) => value > 0 && value <= 0.5,
    allowed: "a number above 0 and up to 0.5",
    effect:
      "Share of items that may differ from the result that the same engine recorded, while nothing is wrong. " +
      "A variant whose items differ more is quarantined.",
  }),
});

/** Variables of the gateway Worker. */
export const gatewayVariables = routingVariables.extend(monitorVariables.shape);

/** Variables of the replica Worker. */
export const replicaVariables = z.object({
  MEMORY_CEILING_MIB: number(REPLICA_NUMBERS.MEMORY_CEILING_MIB),
  ISOLATE_CEILING_MIB: number(REPLICA_NUMBERS.ISOLATE_CEILING_MIB),
  SHADOW_SHARE: number(REPLICA_NUMBERS.SHADOW_SHARE),
});

const port = { ...whole(1, 65_535), unit: "port" };
const inspectorPort = z
  .string()
  .optional()
  .transform((value) => (value ? Number(value) : undefined))
  .refine((value) => value === undefined || port.isAllowed(value), port.allowed)
  .register(VARIABLE_INFO, {
    unit: "port",
    fallback: "none: no inspector",
    allowed: port.allowed,
    effect: "`npm start` opens the inspector of the runtime there.",
  });

/** Variables of `npm start`, the build, `npm run eval`, `npx franken` and the checks against peers. */
export const commandVariables = z.object({
  PORT: number({ ...port, fallback: 8787, effect: "`npm start` listens there, at 127.0.0.1." }),
  INSPECTOR_PORT: inspectorPort,
  ENGINE: text({
    allowed: "`wasm` or `onnx`",
    fallback: "wasm",
    effect: "The engine of the replica that `npm start` runs.",
  }),
  SCORES_CRON: text({
    allowed: "a cron expression, as */5 * * * *",
    fallback: "the triggers of wrangler.toml",
    effect: "When `npm start` lets the monitor measure a slice.",
  }),
  ISOLATE_CEILING_MIB: text({
    unit: "MiB",
    allowed: "a number above 0",
    fallback: "1024",
    effect: "As of the replica. Under `npm start` an isolate is a process, which may hold several weight sets.",
  }),
  FRANKEN_STATE: text({
    allowed: "a folder",
    fallback: ".wrangler/state/v3",
    effect: "`npm start` keeps its databases there. Two services at a time need two folders.",
  }),
  FRANKEN_ARTIFACTS: text({
    allowed: "a folder",
    fallback: "artifacts",
    effect: "Your own recipes, tensors, adapters and models, which the build takes in and `npx franken` writes.",
  }),
  FRANKEN_DATA: text({
    allowed: "a folder",
    fallback: "../shared/datasets, where it exists",
    effect: "`npm run eval` and `npm run data` read source data sets there that are not part of the project.",
  }),
  HF_ENDPOINT: text({
    allowed: "a URL",
    fallback: "https://huggingface.co",
    effect: "The hub that `npx franken import` downloads from.",
  }),
  HF_TOKEN: text({
    allowed: "an access token",
    effect: "Secret. Sent to the hub for downloads, as gated models need it.",
  }),
  OPENAI_API_KEY: text({
    allowed: "an API key",
    fallback: "a key of `.dev.vars`",
    effect: "Secret. The key by which `npx franken experiment` asks the gateway, unless `--key` gives one.",
  }),
  FRANKEN_PYTHON: text({
    allowed: "a command",
    fallback: "python3",
    effect: "`npm run test:interop` runs this Python, which needs PyTorch, Transformers and PEFT.",
  }),
  FRANKEN_ORDERS: text({
    allowed: "a folder",
    effect: "`npm run test:interop` measures the orders of decoder layers on the checkpoint in it.",
  }),
});

/** @throws Error that names the variable, and what is allowed */
function readOne<Schema extends z.ZodType>(name: string, schema: Schema, env: Environment): z.output<Schema> {
  const value = (env as Readonly<Record<string, unknown>>)[name];
  const text = value === undefined ? undefined : String(value).trim();
  const read = schema.safeParse(text);
  if (read.success) return read.data;
  throw new Error(`${name} is ${text}; it must be ${read.error.issues[0]?.message}`);
}

/** @throws Error that names the first variable that is wrong, and what is allowed */
export function readVariables<Schema extends z.ZodObject>(schema: Schema, env: Environment): z.output<Schema> {
  const fields = Object.entries(schema.shape as Record<string, z.ZodType>);
  return Object.fromEntries(fields.map(([name, field]) => [name, readOne(name, field, env)])) as z.output<Schema>;
}

type CommandVariable = keyof typeof commandVariables.shape;

/** What `npm start` and other commands are configured with. @throws Error as `readVariables` */
export const commandVariable = <Name extends CommandVariable>(name: Name) =>
  readOne(name, commandVariables.shape[name], process.env) as z.output<typeof commandVariables>[Name];

/** Variables of Workers that this process's environment sets, for a local run: the names that are set, as they are. */
export const setForThisRun = (names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));

/** @throws Error as `readVariables` */
export function gatewaySettings(env: Environment) {
  const read = readVariables(routingVariables, env);
  return {
    deadlineMs: read.REQUEST_DEADLINE_MS,
    quantile: read.ROUTING_QUANTILE,
    keepMs: read.RESPONSES_KEPT_DAYS * 86_400_000,
    apiKeys: read.API_KEYS ?? "",
  };
}

/** How much the monitor measures. @throws Error as `readVariables` */
export function monitorSettings(env: Environment) {
  const read = readVariables(monitorVariables, env);
  return {
    itemsPerSlice: read.SCORES_ITEMS_PER_SLICE,
    itemsPerRun: read.SCORES_ITEMS_PER_RUN,
    nullRate: read.SCORES_NULL_RATE,
  };
}
