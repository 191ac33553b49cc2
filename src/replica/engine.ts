// The memories that this isolate has loaded: each has an engine, and a weight set or several that share it. Where another one has no room
// beside them, those that are idle are let go.

import type { OpenFile } from "../engine/index.ts";
import { type Engine, EngineError } from "../engine/index.ts";
import { type ReplicaVariable, replicaSettings } from "../replica-settings.ts";
import type { BaseModel } from "../variants/index.ts";
import { layOut } from "../variants/index.ts";

/** Bindings, and variables of src/config.ts. */
export interface ReplicaEnv extends Partial<Record<ReplicaVariable, string>> {
  /** Static assets with the weight parts. */
  readonly WEIGHTS: Fetcher;
  /** The same files in an R2 bucket; used instead when bound. */
  readonly WEIGHTS_BUCKET?: R2Bucket;
}

export interface LoadOptions {
  readonly base: BaseModel;
  /** Weight sets that are to share its memory. */
  readonly beside: readonly BaseModel[];
  readonly open: OpenFile;
  /** Most bytes for weights and KV caches, without the weights beside. */
  readonly ceilingBytes: number | undefined;
  /** Called with the share that is done, 0 to 1. */
  readonly onProgress: (progress: number) => void;
}

export interface EngineKind {
  load(options: LoadOptions): Promise<Engine>;
  /** Multiply-adds that take less than 10 ms on one slow core. */
  readonly paceMultiplyAdds: number;
  /** Its engines hold weight sets beside the first. */
  readonly holdsMany?: boolean;
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

interface Loading extends LoadingEngine {
  progress: number;
  error: Error | undefined;
  loaded: Engine | undefined;
}

/** A memory and the weight sets in it. */
interface Entry {
  readonly group: Group;
  /** By weight set: those that are there, or on their way. */
  readonly sets: Map<string, Loading>;
  /** Requests that need it. */
  users: number;
}

/** The weight sets of one memory: the first one is loaded first, and then the others, one after the other. */
export type Group = readonly [BaseModel, ...BaseModel[]];

/** Who asks for which memory. */
export interface Place {
  /**
   * Id of the Durable Object that asks. It alone may use its memories: one loop steps all sequences of an engine, and
   * workerd lets it not write to the streams of another object.
   */
  readonly owner: string;
  readonly group: Group;
  readonly kind: EngineKind;
  readonly env: ReplicaEnv;
}

/** By owner and first weight set, the least recently used first. */
const entries = new Map<string, Entry>();
/** Memories that were let go, and are loaded again only when they are used. */
const letGo = new Set<string>();
const keyOf = ({ owner, group: [{ id }] }: Place): string => `${owner} ${id}`;

/** Opens built files from R2 when a bucket is bound, otherwise from static assets. */
export function openFrom(env: ReplicaEnv): OpenFile {
  return async ({ file }) => {
    if (env.WEIGHTS_BUCKET) return (await env.WEIGHTS_BUCKET.get(file))?.body;
    const response = await env.WEIGHTS.fetch(`https://assets.invalid/${file}`);
    return response.ok ? (response.body ?? undefined) : undefined;
  };
}

const sizeOf = (group: Group): number => layOut(group).bytes;

function hasRoom(group: Group, env: ReplicaEnv): boolean {
  const taken = [...entries.values()].map((entry) => loadedIn(entry)?.residentBytes() ?? sizeOf(entry.group));
  return (
    taken.length === 0 || taken.reduce((sum, bytes) => sum + bytes, sizeOf(group)) <= replicaSettings(env).isolateBytes
  );
}

const loadedIn = ({ group: [first], sets }: Entry): Engine | undefined => sets.get(first.id)?.loaded;

/** @throws EngineError `out_of_memory` when what is loaded is at work */
function makeRoom({ group, env }: Place): void {
  // The engine refuses these and says why: nothing has to go for that.
  if (group[0].imageBytes > (replicaSettings(env).memoryBytes ?? Number.POSITIVE_INFINITY)) return;
  // What many share goes last.
  for (const [key, entry] of [...entries].toSorted(([, a], [, b]) => a.group.length - b.group.length)) {
    if (hasRoom(group, env)) return;
    if (entry.users > 0 || !loadedIn(entry)) continue;
    entries.delete(key);
    letGo.add(key);
  }
  if (hasRoom(group, env)) return;
  const others = [...entries.values()].map((entry) => entry.group[0].id).join(" and ");
  throw new EngineError(
    "out_of_memory",
    `the weights ${group[0].id} have no room here beside ${others}, which are at work: ask again when they are done`,
  );
}

/** What there is of a weight set. Where there is nothing, `wake` starts the loading, unless others would have to be let go for it. */
export function findEngine(base: BaseModel, place: Place, wake: boolean): LoadingEngine | undefined {
  const key = keyOf(place);
  const known = entries.get(key);
  if (known) return known.sets.get(base.id) ?? (wake ? loadSet(known, base) : undefined);
  if (!wake || letGo.has(key) || !hasRoom(place.group, place.env)) return undefined;
  const entry = load(place);
  return entry.sets.get(base.id) ?? loadSet(entry, base);
}

export interface EngineUse {
  /** Rejects with what went wrong. */
  readonly engine: Promise<Engine>;
  /** Its user is done with it. */
  release(): void;
}

/**
 * The engine that holds a weight set, which stays until it is released: starts to load where it is not there.
 * @throws EngineError `out_of_memory` when there is no room for it
 */
export function useEngine(base: BaseModel, place: Place): EngineUse {
  const key = keyOf(place);
  let entry = entries.get(key);
  if (!entry) {
    makeRoom(place);
    entry = load(place);
  }
  entries.delete(key);
  entries.set(key, entry);
  const used = entry;
  used.users++;
  let released = false;
  return {
    engine: (used.sets.get(base.id) ?? loadSet(used, base)).engine,
    release() {
      if (!released) used.users--;
      released = true;
    },
  };
}

/** Loads the first weight set of a memory, and then the others. */
function load(place: Place): Entry {
  const { group, kind, env } = place;
  const [first, ...beside] = group;
  const key = keyOf(place);
  const entry: Entry = { group, sets: new Map(), users: 0 };
  entries.set(key, entry);
  letGo.delete(key);
  const { engine } = follow(
    (onProgress) =>
      kind.load({
        base: first,
        beside,
        open: openFrom(env),
        ceilingBytes: replicaSettings(env).memoryBytes,
        onProgress,
      }),
    entry,
    first,
    () => entries.get(key) === entry && entries.delete(key),
  );
  void engine.then(
    async () => {
      for (const base of beside) {
        // It may have been let go meanwhile.
        if (entries.get(key) !== entry) return;
        await (entry.sets.get(base.id) ?? loadSet(entry, base)).engine.catch(() => {});
      }
    },
    () => {},
  );
  return entry;
}

/** Loads one of the others; when it fails, the next one that needs it tries again after a while. */
function loadSet(entry: Entry, base: BaseModel): Loading {
  const { engine } = entry.sets.get(entry.group[0].id) as Loading;
  const loading: Loading = follow(
    async (onProgress) => {
      const host = await engine;
      await host.load?.(base, onProgress);
      return host;
    },
    entry,
    base,
    () => entry.sets.get(base.id) === loading && entry.sets.delete(base.id),
  );
  return loading;
}

/** @param forget called a while after it failed */
function follow(
  load: (onProgress: (progress: number) => void) => Promise<Engine>,
  entry: Entry,
  base: BaseModel,
  forget: () => void,
): Loading {
  const loading: Loading = {
    engine: load((progress) => {
      loading.progress = progress;
    }),
    progress: 0,
    error: undefined,
    loaded: undefined,
  };
  entry.sets.set(base.id, loading);
  loading.engine.then(
    (engine) => {
      loading.progress = 1;
      loading.loaded = engine;
    },
    (error: Error) => {
      loading.error = error;
      setTimeout(forget, RETRY_MS);
    },
  );
  return loading;
}
