// Integers that a double does not hold. JSON.parse rounds them; src/openai/shared/exact-json.ts keeps their source
// text instead, as `JSON.rawJSON` has it, which `JSON.stringify` writes as it is.

/** What a runtime with `JSON.rawJSON` has more. Node 20 has neither. */
const { isRawJSON } = JSON as { isRawJSON?: (value: unknown) => boolean };

/** A number as a schema has it: a bigint where a double would lose digits. */
export type Exact = number | bigint;

/** The number that a parsed value is; undefined when it is none. */
export function exactNumber(value: unknown): Exact | undefined {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (!isRawJSON?.(value)) return undefined;
  return BigInt((value as { rawJSON: string }).rawJSON);
}

/** JSON of a value; the same for values that are equal. */
export function canonical(value: unknown): string {
  const number = exactNumber(value);
  if (number !== undefined) return String(number);
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`);
  return `{${members.sort().join()}}`;
}
