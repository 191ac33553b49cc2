// The engine of a replica that this isolate has loaded: weights sit once per isolate, whatever number of Durable
// Objects share it.
import type { Engine } from "../engine/types.ts";
import type { OpenFile } from "../engine/weights.ts";
import type { BaseModel } from "../variants/base.ts";

export interface ReplicaEnv {
  /** Static assets with the weight parts. */
  readonly WEIGHTS: Fetcher;
  /** The same files in an R2 bucket; used instead when bound. */
  readonly WEIGHTS_BUCKET?: R2Bucket;
  /** Most MiB that weights and KV caches may take together; what does not fit is refused. Unset: the engine's default. */
  readonly MEMORY_CEILING_MIB?: string;
  /** Most work that comparing variants may take, as a share of what live requests take. Unset: 0.1. */
  readonly SHADOW_SHARE?: string;
}

export interface LoadOptions {
  readonly base: BaseModel;
  readonly open: OpenFile;
  /** Most bytes for weights and KV caches. */
  readonly ceilingBytes: number | undefined;
  /** Called with the share that is done, 0 to 1. */
  readonly onProgress: (progress: number) => void;
}

export interface EngineKind {
  load(options: LoadOptions): Promise<Engine>;
  /** Multiply-adds that take less than 10 ms on one slow core. */
  readonly paceMultiplyAdds: number;
}

export interface LoadingEngine {
  /** Rejects with what went wrong. */
  readonly engine: Promise<Engine>;
  readonly progress: number;
  readonly error: Error | undefined;
  readonly loaded: Engine | undefined;
}

/** Loading that failed is tried again by the first caller after this time. */
const RETRY_MS = 10_000;

/** One entry per base model in this isolate. */
const loading = new Map<string, LoadingEngine>();

/** Opens built files from R2 when a bucket is bound, otherwise from static assets. */
export function openFrom(env: ReplicaEnv): OpenFile {
  return async ({ file }) => {
    if (env.WEIGHTS_BUCKET) return (await env.WEIGHTS_BUCKET.get(file))?.body;
    const response = await env.WEIGHTS.fetch(`https://assets.invalid/${file}`);
    return response.ok ? (response.body ?? undefined) : undefined;
  };
}

/** @throws Error when the variable is not a number of MiB */
function ceilingBytes({ MEMORY_CEILING_MIB }: ReplicaEnv): number | undefined {
  if (!MEMORY_CEILING_MIB) return undefined;
  const mebibytes = Number(MEMORY_CEILING_MIB);
  if (!(mebibytes > 0)) throw new Error(`MEMORY_CEILING_MIB is ${MEMORY_CEILING_MIB}; it must be a number above 0`);
  return mebibytes * 2 ** 20;
}

/** The isolate's engine for a base: starts to load at the first call. */
export function engineFor(base: BaseModel, kind: EngineKind, env: ReplicaEnv): LoadingEngine {
  const known = loading.get(base.id);
  if (known) return known;
  const entry: { -readonly [K in keyof LoadingEngine]: LoadingEngine[K] } = {
    engine: kind.load({
      base,
      open: openFrom(env),
      ceilingBytes: ceilingBytes(env),
      onProgress: (progress) => {
        entry.progress = progress;
      },
    }),
    progress: 0,
    error: undefined,
    loaded: undefined,
  };
  loading.set(base.id, entry);
  entry.engine.then(
    (engine) => {
      entry.progress = 1;
      entry.loaded = engine;
    },
    (error: Error) => {
      entry.error = error;
      setTimeout(() => loading.delete(base.id), RETRY_MS);
    },
  );
  return entry;
}
