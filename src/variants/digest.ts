// What a score belongs to: a variant is what it computes, not what it is called.
import { createHash } from "node:crypto";
import type { Plan } from "./plan.ts";

/** sha256 over what the plan computes; the same for two recipes exactly when they compute the same. */
export const variantDigest = (plan: Plan): string => createHash("sha256").update(plan.fingerprint).digest("hex");
