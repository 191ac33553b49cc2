// `system_fingerprint`: the same as long as nothing has changed that could change the text of a seeded reply.
import { createHash } from "node:crypto";
import { ReplicaGoneError } from "../replica/client.ts";
import type { Replica, ReplicaStatus } from "../replica/protocol.ts";
import type { Plan } from "../variants/plan.ts";

/**
 * Asks the replica for the digest of its weights and engine at once, and again on `get` if it was still loading then.
 * @param onStatus called with what the replica says at first
 * @returns a function for when the first token is there; it throws ReplicaGoneError when the replica does not answer
 */
export function fetchFingerprint(
  replica: Replica,
  plan: Plan,
  onStatus: (status: ReplicaStatus) => void,
): () => Promise<string> {
  const ask = (): Promise<ReplicaStatus> =>
    replica.status(plan.base.id).catch((error: unknown) => {
      throw new ReplicaGoneError("the replica did not tell its status", { cause: error });
    });
  const early = ask();
  early.then(onStatus, () => {});
  return async () => {
    let status = await early;
    if (status.state !== "ready") status = await ask();
    const digest = createHash("sha256").update(`${plan.fingerprint}\n${status.digest}`).digest("hex");
    return `fp_${digest.slice(0, 12)}`;
  };
}
