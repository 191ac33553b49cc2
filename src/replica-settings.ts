// The replica's variables, read without the schemas of src/config.ts, which are made of this table:
// zod would take 1.5 MiB of an isolate that has 128 for the weights and all sequences.

/** May have bindings and other variables beside. A variable that is unset or blank has its default. */
export type Environment = object;

export interface NumberVariable {
  readonly unit?: string;
  /** What holds where the variable is not set. */
  readonly fallback: number;
  /** @param value NaN for a text that is no number */
  isAllowed(value: number): boolean;
  /** Completes "it must be". */
  readonly allowed: string;
  readonly effect: string;
}

export type ReplicaVariable = "MEMORY_CEILING_MIB" | "ISOLATE_CEILING_MIB" | "SHADOW_SHARE";

export const REPLICA_NUMBERS: Readonly<Record<ReplicaVariable, NumberVariable>> = {
  MEMORY_CEILING_MIB: {
    isAllowed: (value) => value > 0,
    allowed: "a number above 0",
    unit: "MiB",
    fallback: Number.POSITIVE_INFINITY,
    effect:
      "Most memory for the weights and KV caches of one weight set; a request that does not fit is refused. " +
      "Without it the engine's own limit holds.",
  },
  ISOLATE_CEILING_MIB: {
    isAllowed: (value) => value > 0,
    allowed: "a number above 0",
    unit: "MiB",
    fallback: Number.POSITIVE_INFINITY,
    effect:
      "Most memory for the weights and KV caches of all weight sets of one isolate; idle ones are unloaded for others. " +
      "What exceeds twice `MEMORY_CEILING_MIB` keeps weight sets loaded beside the first one.",
  },
  SHADOW_SHARE: {
    unit: "share",
    fallback: 0.1,
    isAllowed: (value) => value >= 0 && value < Number.POSITIVE_INFINITY,
    allowed: "a number from 0, a share of the work of live requests",
    effect: "Most work (multiply-adds) of shadow scoring, as a share of the work of live requests; 0 switches it off.",
  },
};

export interface ReplicaSettings {
  /** Most bytes for the weights and KV caches of one weight set; undefined: the engine's default. */
  readonly memoryBytes: number | undefined;
  /** Most bytes for those of all weight sets in one isolate; may be infinite. */
  readonly isolateBytes: number;
  /** Bytes of it for weight sets that share the first one's memory: what is left when two have all that one may. */
  readonly sharedBytes: number;
  /** Most work that comparing variants may take, as a share of what live requests take. */
  readonly shadowShare: number;
}

function read(name: ReplicaVariable, env: Environment): number {
  const { fallback, isAllowed, allowed } = REPLICA_NUMBERS[name];
  const text = String((env as Readonly<Record<string, unknown>>)[name] ?? "").trim();
  const value = text === "" ? fallback : Number(text);
  if (!isAllowed(value)) throw new Error(`${name} is ${text}; it must be ${allowed}`);
  return value;
}

/** @throws Error that names the variable and what is allowed */
export function replicaSettings(env: Environment): ReplicaSettings {
  const memoryBytes = read("MEMORY_CEILING_MIB", env) * 2 ** 20;
  const isolateBytes = read("ISOLATE_CEILING_MIB", env) * 2 ** 20;
  const left = isolateBytes - 2 * memoryBytes;
  return {
    memoryBytes: Number.isFinite(memoryBytes) ? memoryBytes : undefined,
    isolateBytes,
    sharedBytes: Number.isFinite(left) ? Math.max(0, left) : 0,
    shadowShare: read("SHADOW_SHARE", env),
  };
}
