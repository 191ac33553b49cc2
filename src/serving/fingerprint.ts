// Names what computed a reply: the same as long as nothing has changed that could change the text
// of a seeded reply.
import { createHash } from "node:crypto";
import type { Plan } from "../variants/index.ts";

/** @param replicaDigest of the replica's weights and engine */
export function fingerprintOf(plan: Plan, replicaDigest: string): string {
  const digest = createHash("sha256").update(`${plan.fingerprint}\n${replicaDigest}`).digest("hex");
  return `fp_${digest.slice(0, 12)}`;
}
