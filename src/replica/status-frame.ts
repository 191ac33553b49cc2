// Apart from the schemas of the protocol, which the replica itself never reads: its bundle has no
// zod.
import type { ReplicaStatus, StatusFrame } from "./protocol.ts";

/** What a generation's stream tells of a status. */
export const statusFrame = (status: ReplicaStatus): StatusFrame => {
  const { state, engine, digest, queued, running, weights, capacities } = status;
  return {
    type: "status",
    state,
    engine,
    digest,
    queued,
    running,
    weights: weights && [...weights],
    capacities: capacities && { ...capacities },
  };
};
