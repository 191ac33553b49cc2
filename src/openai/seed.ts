// `seed`: an integer of 64 bits. JSON readers round integers beyond 2^53, so this one is read from its digits.
import { z } from "@hono/zod-openapi";

const LEAST = -(2n ** 63n);
const MOST = 2n ** 63n - 1n;
const WANTED = "expected an integer of 64 bits";
const fits = (seed: bigint): boolean => seed >= LEAST && seed <= MOST;

export const seedSchema = z
  .union(
    [
      z.number().refine((seed) => Number.isInteger(seed) && fits(BigInt(seed)), WANTED),
      z.bigint().refine(fits, WANTED),
    ],
    { error: WANTED },
  )
  .openapi({
    type: "integer",
    format: "int64",
    description:
      "The same request with the same seed gets the same text, under any load. All 64 bits count. Default: a random one.",
  });
export type Seed = z.infer<typeof seedSchema>;

/** Whether a text may have a seed that `JSON.parse` would round. */
const LONG_SEED = /"seed"\s*:\s*-?\d{16}/;

type Reviver = (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown;
const parseJson = JSON.parse as (text: string, reviver?: Reviver) => unknown;

/**
 * Parses a body. Its field `seed` is a bigint where a number would have lost digits.
 * @throws SyntaxError
 */
export function parseWithSeed(text: string): unknown {
  if (!LONG_SEED.test(text)) return parseJson(text);
  const digits = new Map<unknown, string>();
  const body = parseJson(text, function (key, value, { source = "" }) {
    if (key === "seed" && typeof value === "number" && /^-?\d{16,}$/.test(source)) digits.set(this, source);
    return value;
  });
  const source = digits.get(body);
  return source === undefined ? body : { ...(body as object), seed: exact(BigInt(source)) };
}

const exact = (seed: bigint): Seed => (Number.isSafeInteger(Number(seed)) ? Number(seed) : seed);
