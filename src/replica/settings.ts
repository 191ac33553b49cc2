// What a replica's variables say, as wrangler.replica.toml has them.
import { above0, type Environment, from0, readNumbers, type Variables } from "../variables.ts";

export type ReplicaVariable = "MEMORY_CEILING_MIB" | "ISOLATE_CEILING_MIB" | "SHADOW_SHARE";

const VARIABLES: Variables<ReplicaVariable> = {
  MEMORY_CEILING_MIB: { ...above0, fallback: "Infinity", isAllowed: (value) => value > 0 },
  ISOLATE_CEILING_MIB: { ...above0, fallback: "Infinity", isAllowed: (value) => value > 0 },
  SHADOW_SHARE: { ...from0, fallback: "0.1", allowed: "a number from 0, a share of the work of live requests" },
};

export interface ReplicaSettings {
  /** Most bytes for the weights and KV caches of one weight set; undefined: the engine's default. */
  readonly memoryBytes: number | undefined;
  /** Most bytes for those of all weight sets in one isolate; may be infinite. */
  readonly isolateBytes: number;
  /** Of those, bytes for weight sets that share the memory of the first one: what is left when each of two has all that one may. */
  readonly sharedBytes: number;
  /** Most work that comparing variants may take, as a share of what live requests take. */
  readonly shadowShare: number;
}

/** @throws Error that names the variable and what is allowed */
export function replicaSettings(env: Environment<ReplicaVariable>): ReplicaSettings {
  const read = readNumbers(VARIABLES, env);
  const memoryBytes = read.MEMORY_CEILING_MIB * 2 ** 20;
  const isolateBytes = read.ISOLATE_CEILING_MIB * 2 ** 20;
  const left = isolateBytes - 2 * memoryBytes;
  return {
    memoryBytes: Number.isFinite(memoryBytes) ? memoryBytes : undefined,
    isolateBytes,
    sharedBytes: Number.isFinite(left) ? Math.max(0, left) : 0,
    shadowShare: read.SHADOW_SHARE,
  };
}
