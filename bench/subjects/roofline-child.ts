// Child process that says what one core can do at most through WebAssembly: reading memory in order, and products of 8-bit integers.
// Compiled anew each time; needs relaxed SIMD.
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { compile } from "../../build/kernels.ts";
import { compileWasm } from "../../evaluation/offline/wasm.ts";
import { answer, type Rates, send } from "../answer.ts";
import { benchDir } from "../gguf.ts";

const READ_BYTES = 256 * 2 ** 20;
const PASSES = 4;
const DOT_LOOPS = 8e6;
/** Operations of a loop: eight products of 16 lanes, and their sums. */
const LOOP_OPERATIONS = 256;

interface Peaks {
  read(from: number, bytes: number): bigint;
  dots16(loops: number): number;
  dots32(loops: number): number;
}

async function load(): Promise<Peaks> {
  const file = join(benchDir, "peaks.wasm");
  await mkdir(benchDir, { recursive: true });
  await compile([{ build: "relaxed", source: "src/engine/wasm/assembly/peaks.ts", file }]);
  const memory = new WebAssembly.Memory({ initial: READ_BYTES / 65_536 });
  // Pages that were never written all map to one, which stays in the cache.
  new Uint8Array(memory.buffer).fill(1);
  const module = await compileWasm(await readFile(file));
  return new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Peaks;
}

/** The best of several passes: what the core can do, not what it does while others use the memory. */
function measure({ read, dots16, dots32 }: Peaks): Rates {
  const best = (work: () => unknown): number => {
    let seconds = Number.POSITIVE_INFINITY;
    for (let pass = 0; pass < PASSES; pass++) {
      const started = performance.now();
      work();
      seconds = Math.min(seconds, (performance.now() - started) / 1000);
    }
    return seconds;
  };
  const dots = Math.min(
    best(() => dots16(DOT_LOOPS)),
    best(() => dots32(DOT_LOOPS)),
  );
  return {
    readBytes: READ_BYTES / best(() => read(0, READ_BYTES)),
    dotOperations: (DOT_LOOPS * LOOP_OPERATIONS) / dots,
  };
}

try {
  const peaks = await load();
  measure(peaks);
  answer("AssemblyScript with relaxed SIMD, in Node", async () => ({ rates: measure(peaks) }));
} catch (error) {
  send({ unavailable: (error as Error).message });
}
