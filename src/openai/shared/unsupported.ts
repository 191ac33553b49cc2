// Documented fields of OpenAI's API that this gateway does not have: those that would change the answer are refused by
// name, the others are left out and named in the reply's warning. Each endpoint has a table of its own.
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
