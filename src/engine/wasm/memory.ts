// The engine's one WebAssembly memory: weights, scratch, then units of one page each for KV caches and adapters, handed out on promise.
import { EngineError } from "../types.ts";

const WASM_PAGE = 65_536;
/** Growing is not free, so it goes by this many WebAssembly pages. */
const GROW_PAGES = 8;
/** Nothing lies at address 0. */
const START = 1024;

export interface Memory {
  readonly memory: WebAssembly.Memory;
  /** Views of the memory as it is now: growing it replaces them, so they are not kept. */
  readonly bytes: Uint8Array;
  readonly u32: Uint32Array;
  readonly f32: Float32Array;
  /** Address of fixed space, for good; only before the first unit is handed out. */
  fixed(bytes: number): number;
  /** Units that there are room for under the ceiling, in use or not. */
  readonly units: number;
  /** Units that are not promised yet. */
  readonly free: number;
  /**
   * Sets units aside; `take` never fails for what was promised.
   * @throws EngineError `out_of_memory` with the numbers
   */
  promise(units: number, what: string): void;
  /** Takes back what a promise has not used, or what was given back. */
  forgo(units: number): void;
  /** Address of one promised unit. */
  take(): number;
  /** Address of promised units that lie side by side, or undefined where the free ones are scattered. */
  takeRun(units: number): number | undefined;
  /** Gives units back; their promise stays until it is forgone. */
  give(address: number, units?: number): void;
}

export interface MemoryOptions {
  readonly ceilingBytes: number;
  readonly unitBytes: number;
  /** Fixed bytes that are known to be needed: checked before anything is allocated. */
  readonly fixedBytes: number;
  /** Fixed bytes that the ceiling does not count: of further weight sets. */
  readonly besideBytes: number;
}

export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** @throws EngineError `too_large` when the fixed part alone is beyond the ceiling */
export function createMemory({ ceilingBytes, unitBytes, fixedBytes, besideBytes }: MemoryOptions): Memory {
  const beside = Math.ceil(besideBytes / WASM_PAGE);
  const maximum = Math.floor(ceilingBytes / WASM_PAGE) + beside;
  const initial = Math.ceil((START + fixedBytes) / WASM_PAGE) + beside;
  if (initial > maximum) {
    throw new EngineError(
      "too_large",
      `weights and scratch need ${mebibytes((initial - beside) * WASM_PAGE)}, the engine may hold ${mebibytes(ceilingBytes)}: set MEMORY_CEILING_MIB higher, sequences need room too, or where no isolate may be larger keep more linears at 4 bits`,
    );
  }
  const memory = new WebAssembly.Memory({ initial, maximum });
  let bytes = new Uint8Array(memory.buffer);
  let u32 = new Uint32Array(memory.buffer);
  let f32 = new Float32Array(memory.buffer);
  const renew = (): void => {
    if (bytes.buffer === memory.buffer) return;
    bytes = new Uint8Array(memory.buffer);
    u32 = new Uint32Array(memory.buffer);
    f32 = new Float32Array(memory.buffer);
  };

  let end = START;
  let promised = 0;
  /** One entry for each unit that the memory reaches so far: whether it is taken. */
  const taken: boolean[] = [];
  /** No unit below this one is free. */
  let lowest = 0;
  const total = (): number => Math.floor((maximum * WASM_PAGE - end) / unitBytes);

  function reach(units: number): void {
    const missing = end + units * unitBytes - memory.buffer.byteLength;
    if (missing > 0) {
      const held = memory.buffer.byteLength / WASM_PAGE;
      const wanted = Math.max(Math.ceil(missing / WASM_PAGE), GROW_PAGES);
      memory.grow(Math.min(wanted, maximum - held));
    }
    while (taken.length < units) taken.push(false);
  }

  return {
    memory,
    get bytes() {
      renew();
      return bytes;
    },
    get u32() {
      renew();
      return u32;
    },
    get f32() {
      renew();
      return f32;
    },
    fixed(size) {
      const at = end;
      end = Math.ceil((end + size) / 64) * 64;
      return at;
    },
    get units() {
      return total();
    },
    get free() {
      return total() - promised;
    },
    promise(units, what) {
      const free = total() - promised;
      if (units > free) {
        throw new EngineError(
          "out_of_memory",
          `${what} needs ${mebibytes(units * unitBytes)}, of ${mebibytes(ceilingBytes)} for weights and sequences ${mebibytes(Math.max(0, free) * unitBytes)} are free`,
        );
      }
      promised += units;
    },
    forgo(units) {
      promised -= units;
    },
    take() {
      while (taken[lowest]) lowest++;
      reach(lowest + 1);
      taken[lowest] = true;
      return end + lowest++ * unitBytes;
    },
    takeRun(units) {
      let first = lowest;
      for (let unit = first; unit < first + units; unit++) if (taken[unit]) first = unit + 1;
      if (first + units > total()) return undefined;
      reach(first + units);
      taken.fill(true, first, first + units);
      return end + first * unitBytes;
    },
    give(address, units = 1) {
      const first = (address - end) / unitBytes;
      taken.fill(false, first, first + units);
      lowest = Math.min(lowest, first);
    },
  };
}
