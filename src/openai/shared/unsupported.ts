// Documented fields of OpenAI's API that would change the answer and that this gateway does not have: refused by name, never ignored.
import { ApiError } from "./errors.ts";

export interface Unsupported {
  /** Values under which the field changes nothing. `null` and a missing field never do. */
  readonly harmless: string;
  isHarmless(value: unknown): boolean;
}

export const never: Unsupported = { harmless: "nothing but null", isHarmless: () => false };
export const only = (...values: unknown[]): Unsupported => ({
  harmless: values.map((value) => JSON.stringify(value)).join(" or "),
  isHarmless: (value) => values.includes(value),
});

const REQUEST_FIELDS: Readonly<Record<string, Unsupported>> = {
  audio: never,
  modalities: {
    harmless: '["text"]',
    isHarmless: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
  },
  service_tier: only("auto", "default"),
  store: only(false),
  web_search_options: never,
};

/** Wishes about how a model works, which no variant here knows: clients send them to every model. */
const IGNORED_FIELDS: Readonly<Record<string, Unsupported>> = {
  reasoning_effort: only("none"),
  verbosity: only("medium"),
};

const MESSAGE_FIELDS: Readonly<Record<string, Unsupported>> = {
  audio: never,
};

/** A list for the API's description, in Markdown. */
export const unsupportedFields: string = [
  ...Object.entries(REQUEST_FIELDS),
  ...Object.entries(MESSAGE_FIELDS).map(([name, field]) => [`messages[].${name}`, field] as const),
]
  .map(([name, { harmless }]) => `- \`${name}\`: accepted is ${harmless}`)
  .join("\n");

/** Fields of a chat completion request that are left out, for the reply's warning. */
export const ignoredFields = (body: Readonly<Record<string, unknown>>): string[] => ignored(body, IGNORED_FIELDS);
/** Their names in Markdown. */
export const ignoredInChat: string = Object.keys(IGNORED_FIELDS)
  .map((name) => `\`${name}\``)
  .join(", ");

/** @throws ApiError `unsupported_parameter` that names the field */
export function refuseUnsupported(body: Readonly<Record<string, unknown>>): void {
  refuse(body, REQUEST_FIELDS);
  if (!Array.isArray(body.messages)) return;
  body.messages.forEach((message: unknown, index) => {
    if (typeof message === "object" && message !== null) {
      refuse(message as Readonly<Record<string, unknown>>, MESSAGE_FIELDS, `messages.${index}.`);
    }
  });
}

/** @throws ApiError `unsupported_parameter` that names the field, after `prefix` */
export function refuse(
  object: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, Unsupported>>,
  prefix = "",
): void {
  const [param, field] = wishesOf(object, fields, prefix)[0] ?? [];
  if (!field) return;
  throw new ApiError(
    "unsupported_parameter",
    `Unsupported parameter: '${param}' is not supported by this gateway. Leave it out; accepted is ${field.harmless}.`,
    { param },
  );
}

/** What the reply's warning says of parts of the request that had no effect. */
export const leftOut = (names: readonly string[]): string[] =>
  names.length === 0 ? [] : [`without effect here: ${names.join(", ")}`];

/** Names of the fields that an object has with a value that would change something. */
export const ignored = (
  object: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, Unsupported>>,
  prefix = "",
): string[] => wishesOf(object, fields, prefix).map(([name]) => name);

/** Fields of the table that the object has with a value that would change something. */
const wishesOf = (
  object: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, Unsupported>>,
  prefix: string,
): [name: string, field: Unsupported][] =>
  Object.entries(fields).flatMap(([name, field]) => {
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    return value === undefined || value === null || field.isHarmless(value) ? [] : [[prefix + name, field]];
  });
