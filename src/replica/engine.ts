// The engines that this isolate has loaded, one a weight set: weights sit once per isolate, whatever number of Durable Objects share it.
// Where another set's weights have no room beside them, those that are idle are let go.
import { type Engine, EngineError } from "../engine/types.ts";
import type { OpenFile } from "../engine/weights.ts";
import type { BaseModel } from "../variants/base.ts";
import { replicaSettings } from "./settings.ts";

export interface ReplicaEnv {
  /** Static assets with the weight parts. */
  readonly WEIGHTS: Fetcher;
  /** The same files in an R2 bucket; used instead when bound. */
  readonly WEIGHTS_BUCKET?: R2Bucket;
  /** Most MiB that weights and KV caches may take together; what does not fit is refused. Unset: the engine's default. */
  readonly MEMORY_CEILING_MIB?: string;
  /** Most MiB that the weights and KV caches of all weight sets in one isolate may take together. Unset: no limit but the isolate's own. */
  readonly ISOLATE_CEILING_MIB?: string;
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

interface Entry extends LoadingEngine {
  progress: number;
  error: Error | undefined;
  loaded: Engine | undefined;
  readonly base: BaseModel;
  /** Requests that need it loaded. */
  users: number;
}

/** By weight set, the least recently used first. */
const loading = new Map<string, Entry>();
/** Weight sets that were let go, and are loaded again only when they are used. */
const letGo = new Set<string>();

/** Opens built files from R2 when a bucket is bound, otherwise from static assets. */
export function openFrom(env: ReplicaEnv): OpenFile {
  return async ({ file }) => {
    if (env.WEIGHTS_BUCKET) return (await env.WEIGHTS_BUCKET.get(file))?.body;
    const response = await env.WEIGHTS.fetch(`https://assets.invalid/${file}`);
    return response.ok ? (response.body ?? undefined) : undefined;
  };
}

const hasRoom = ({ imageBytes }: BaseModel, env: ReplicaEnv): boolean => {
  const taken = [...loading.values()].map(({ base, loaded }) => loaded?.residentBytes() ?? base.imageBytes);
  return (
    taken.length === 0 || taken.reduce((sum, bytes) => sum + bytes, imageBytes) <= replicaSettings(env).isolateBytes
  );
};

/** @throws EngineError `out_of_memory` when what is loaded is at work */
function makeRoom(base: BaseModel, env: ReplicaEnv): void {
  // The engine refuses these and says why: nothing has to go for that.
  if (base.imageBytes > (replicaSettings(env).memoryBytes ?? Number.POSITIVE_INFINITY)) return;
  for (const [id, { users, loaded }] of loading) {
    if (hasRoom(base, env)) return;
    if (users > 0 || !loaded) continue;
    loading.delete(id);
    letGo.add(id);
  }
  if (hasRoom(base, env)) return;
  throw new EngineError(
    "out_of_memory",
    `the weights ${base.id} have no room here beside ${[...loading.keys()].join(" and ")}, which are at work: ask again when they are done`,
  );
}

/** What the isolate has of a weight set. Where it has nothing, `wake` starts the loading, unless others would have to be let go for it. */
export function findEngine(
  base: BaseModel,
  kind: EngineKind,
  env: ReplicaEnv,
  wake: boolean,
): LoadingEngine | undefined {
  const known = loading.get(base.id);
  if (known || !wake || letGo.has(base.id) || !hasRoom(base, env)) return known;
  return load(base, kind, env);
}

export interface EngineUse {
  /** Rejects with what went wrong. */
  readonly engine: Promise<Engine>;
  /** Its user is done with it. */
  release(): void;
}

/**
 * The isolate's engine for a weight set, which stays until it is released: starts to load where it is not there.
 * @throws EngineError `out_of_memory` when there is no room for it
 */
export function useEngine(base: BaseModel, kind: EngineKind, env: ReplicaEnv): EngineUse {
  let entry = loading.get(base.id);
  if (!entry) {
    makeRoom(base, env);
    entry = load(base, kind, env);
  }
  loading.delete(base.id);
  loading.set(base.id, entry);
  const used = entry;
  used.users++;
  let released = false;
  return {
    engine: used.engine,
    release() {
      if (!released) used.users--;
      released = true;
    },
  };
}

function load(base: BaseModel, kind: EngineKind, env: ReplicaEnv): Entry {
  const entry: Entry = {
    engine: kind.load({
      base,
      open: openFrom(env),
      ceilingBytes: replicaSettings(env).memoryBytes,
      onProgress: (progress) => {
        entry.progress = progress;
      },
    }),
    ...{ progress: 0, error: undefined, loaded: undefined, base, users: 0 },
  };
  loading.set(base.id, entry);
  letGo.delete(base.id);
  entry.engine.then(
    (engine) => {
      entry.progress = 1;
      entry.loaded = engine;
    },
    (error: Error) => {
      entry.error = error;
      setTimeout(() => loading.get(base.id) === entry && loading.delete(base.id), RETRY_MS);
    },
  );
  return entry;
}
