// Public API of replicas for their callers: the protocol, the client that reads a generation's frames, and which Durable
// Object holds a weight set. The class of that object, replica-object.ts, is only for the entries of replica Workers.
export { ReplicaGoneError, readFrames } from "./client.ts";
export { createHomes } from "./homes.ts";
export type {
  Frame,
  FrameToken,
  GenerateRequest,
  Replica,
  ReplicaErrorCode,
  ReplicaStatus,
  Sampling,
} from "./protocol.ts";
