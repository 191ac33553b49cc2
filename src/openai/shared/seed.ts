// `seed`: an integer of 64 bits. JSON readers round integers beyond 2^53, so this one is read from its digits.
import { z } from "@hono/zod-openapi";
import { exactNumber } from "../../grammar/index.ts";

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

/**
 * The seed of a body that keeps the digits of its integers, where a number would have lost digits.
 * @returns the body, with a bigint as its seed
 */
export function withExactSeed(body: unknown): unknown {
  if (typeof body !== "object" || body === null || !("seed" in body)) return body;
  const seed = exactNumber(body.seed);
  return typeof seed === "bigint" ? { ...body, seed } : body;
}
