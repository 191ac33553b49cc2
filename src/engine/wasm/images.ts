// The weight sets in the engine's memory, each at the place that its layout gives it.
import type { BaseModel, Tensor } from "../../variants/index.ts";
import { layOut, type Run, runsOf } from "../../variants/index.ts";
import { type OpenFile, readParts } from "../weights.ts";
import type { Memory } from "./memory.ts";

export interface Images {
  /**
   * Loads what is not there yet of a weight set.
   * @param onProgress called with the share that is done, 0 to 1
   * @throws EngineError `damaged_weights`: the next call tries again
   */
  load(base: BaseModel, onProgress?: (progress: number) => void): Promise<void>;
  /** Whether all of a weight set is there, by its digest. */
  has(digest: string): boolean;
  /** Address of a tensor of a weight set that is there. */
  addressOf(base: BaseModel, tensor: Tensor): number;
}

/** @param bases all weight sets that there may be */
export function createImages(memory: Memory, bases: readonly BaseModel[], open: OpenFile): Images {
  const { bytes, places } = layOut(bases);
  const image = memory.fixed(bytes);
  const addressOf = ({ key }: Run): number => image + (places.get(key) as number);
  const loading = new Map<string, Promise<void>>();
  const there = new Set<string>();

  function loadRun(run: Run, onProgress: (bytes: number) => void): Promise<void> {
    const address = addressOf(run);
    const loaded = readParts(run.parts, (chunk, at) => memory.bytes.set(chunk, address + at), { open, onProgress });
    loading.set(run.key, loaded);
    loaded.catch(() => loading.delete(run.key));
    return loaded;
  }

  return {
    async load(base, onProgress) {
      let done = 0;
      for (const run of runsOf(base)) {
        const tell = (bytes: number): void => onProgress?.((done + bytes) / base.imageBytes);
        await (loading.get(run.key) ?? loadRun(run, tell));
        tell(run.bytes);
        done += run.bytes;
      }
      there.add(base.digest);
    },
    has: (digest) => there.has(digest),
    addressOf(base, { offset }) {
      const run = runsOf(base).findLast(({ start }) => start <= offset) as Run;
      return addressOf(run) + offset - run.start;
    },
  };
}
