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
}

export interface LoadOptions {
  readonly base: BaseModel;
  readonly open: OpenFile;
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

/** The isolate's engine for a base: starts to load at the first call. */
export function engineFor(base: BaseModel, kind: EngineKind, open: OpenFile): LoadingEngine {
  const known = loading.get(base.id);
  if (known) return known;
  const entry: { -readonly [K in keyof LoadingEngine]: LoadingEngine[K] } = {
    engine: kind.load({
      base,
      open,
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
