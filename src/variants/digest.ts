// A variant's digest: what scores, quarantines and reports name a variant by, because an id may come to mean something else.
import { createHash } from "node:crypto";
import type { Catalogue } from "./catalogue.ts";
import type { Plan } from "./plan.ts";

/** sha256 of what the plan computes, in hexadecimal: the same for two variants exactly when they compute the same. */
export const variantDigest = (plan: Plan): string => createHash("sha256").update(plan.fingerprint).digest("hex");

/** Of all variants, by id. */
export const digestsOf = (catalogue: Catalogue): Map<string, string> =>
  new Map([...catalogue].map(([id, { plan }]) => [id, variantDigest(plan)]));
