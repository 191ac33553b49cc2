// Low-rank adapters in the engine's memory: loaded once, shared by all sequences that use them, let go when memory is short.
import type { Adapter, Linear } from "../../variants/index.ts";
import { EngineError } from "../types.ts";
import { type OpenFile, readParts } from "../weights.ts";
import type { Memory } from "./memory.ts";

/** One adapted linear: addresses of its factors. */
export interface Factors {
  readonly a: number;
  readonly b: number;
  /** Rank in blocks of 32. */
  readonly rankBlocks: number;
  readonly scale: number;
}

export interface LoadedAdapter {
  of(slot: number, linear: Linear): Factors | undefined;
  /** Its user is done with it. */
  release(): void;
}

export interface Adapters {
  /**
   * The adapter, loaded; the caller releases it.
   * @throws EngineError `out_of_memory`, `damaged_weights`
   */
  acquire(adapter: Adapter): Promise<LoadedAdapter>;
  /** Lets go of adapters that nobody uses. Returns whether there were any. */
  evict(): boolean;
  /** Units that `evict` would free. */
  readonly evictable: number;
}

interface Entry {
  users: number;
  readonly units: number;
  readonly address: number;
  readonly loaded: Promise<void>;
  readonly factors: ReadonlyMap<string, Factors>;
}

export function createAdapters(memory: Memory, unitBytes: number, open: OpenFile): Adapters {
  const entries = new Map<string, Entry>();
  const idle = () => [...entries].filter(([, { users }]) => users === 0);

  function drop(digest: string, entry: Entry): void {
    entries.delete(digest);
    memory.give(entry.address, entry.units);
    memory.forgo(entry.units);
  }

  function load(adapter: Adapter): Entry {
    const units = Math.ceil(adapter.imageBytes / unitBytes);
    memory.promise(units, "an adapter");
    const address = memory.takeRun(units);
    if (address === undefined) {
      memory.forgo(units);
      throw new EngineError(
        "out_of_memory",
        `an adapter needs ${adapter.imageBytes} bytes side by side, and the free memory is scattered`,
      );
    }
    const factors = new Map(
      adapter.linears.map(({ slot, linear, rank, scale, a, b }) => [
        `${slot} ${linear}`,
        { a: address + a, b: address + b, rankBlocks: Math.ceil(rank / 32), scale },
      ]),
    );
    const loaded = readParts(adapter.parts, (chunk, offset) => memory.bytes.set(chunk, address + offset), { open });
    const entry: Entry = { users: 0, units, address, loaded, factors };
    entries.set(adapter.digest, entry);
    return entry;
  }

  return {
    async acquire(adapter) {
      const entry = entries.get(adapter.digest) ?? load(adapter);
      entry.users++;
      try {
        await entry.loaded;
      } catch (error) {
        entry.users--;
        if (entries.get(adapter.digest) === entry) drop(adapter.digest, entry);
        throw error;
      }
      let released = false;
      return {
        of: (slot, linear) => entry.factors.get(`${slot} ${linear}`),
        release() {
          if (!released) entry.users--;
          released = true;
        },
      };
    },
    get evictable() {
      return idle().reduce((sum, [, { units }]) => sum + units, 0);
    },
    evict() {
      const unused = idle();
      for (const [digest, entry] of unused) drop(digest, entry);
      return unused.length > 0;
    },
  };
}
