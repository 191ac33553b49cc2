// Child process that says what one core can do at most through WebAssembly: reading memory in order, and int8 products summed into
// int32. Compiled from the text below each time; needs relaxed SIMD.
import asc from "assemblyscript/asc";
import { answer, type Rates, send } from "../answer.ts";
import { compileModule } from "../compile.ts";

const READ_BYTES = 256 * 2 ** 20;
const PASSES = 4;
/** Operations of one relaxed dot instruction: 16 products and 16 sums. */
const OPERATIONS = 32;
const CHAINS = 8;
const DOT_LOOPS = 20_000_000;

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n");

/** Eight independent chains each, so that latency hides; sums are returned, so that nothing is left out. */
const SOURCE = `
export function read(bytes: i32): i32 {
  ${lines(CHAINS, (i) => `let s${i} = i32x4.splat(0);`)}
  const end = 65536 + bytes;
  for (let at = 65536; at < end; at += ${16 * CHAINS}) {
    ${lines(CHAINS, (i) => `s${i} = v128.xor(s${i}, v128.load(at, ${16 * i}));`)}
  }
  ${lines(CHAINS - 1, (i) => `s0 = v128.xor(s0, s${i + 1});`)}
  return i32x4.extract_lane(s0, 0);
}
export function dot(loops: i32): i32 {
  const a = i8x16.splat(<i8>loops);
  const b = i8x16.splat(<i8>(loops & 63));
  ${lines(CHAINS, (i) => `let s${i} = i32x4.splat(${i});`)}
  for (let n = 0; n < loops; n++) {
    ${lines(CHAINS, (i) => `s${i} = i32x4.relaxed_dot_i8x16_i7x16_add_s(a, b, s${i});`)}
  }
  ${lines(CHAINS - 1, (i) => `s0 = i32x4.add(s0, s${i + 1});`)}
  return i32x4.extract_lane(s0, 0);
}
`;

interface Kernels {
  read(bytes: number): number;
  dot(loops: number): number;
}

async function compile(): Promise<Kernels> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    [
      ...["roofline.ts", "--outFile", "roofline.wasm", "--optimizeLevel", "3", "--noAssert", "--runtime", "stub"],
      ...["--enable", "simd", "--enable", "relaxed-simd", "--initialMemory", String(READ_BYTES / 65536 + 2)],
    ],
    {
      readFile: (name: string) => (name === "roofline.ts" ? SOURCE : null),
      writeFile: (_name: string, content: Uint8Array | string) => {
        if (typeof content !== "string") binary = content;
      },
    },
  );
  if (error || !binary) throw new Error(`compiling the roofline kernels failed:\n${stderr.toString()}`);
  const { exports } = new WebAssembly.Instance(await compileModule(binary));
  const kernels = exports as unknown as Kernels & { memory: WebAssembly.Memory };
  // Pages that were never written all map to one, which stays in the cache.
  new Uint8Array(kernels.memory.buffer).fill(1);
  return kernels;
}

/** The best of several passes: what the core can do, not what it does while others use the memory. */
function measure({ read, dot }: Kernels): Rates {
  const best = (work: () => void): number => {
    let seconds = Number.POSITIVE_INFINITY;
    for (let pass = 0; pass < PASSES; pass++) {
      const started = performance.now();
      work();
      seconds = Math.min(seconds, (performance.now() - started) / 1000);
    }
    return seconds;
  };
  return {
    readBytes: READ_BYTES / best(() => read(READ_BYTES)),
    dotOperations: (DOT_LOOPS * CHAINS * OPERATIONS) / best(() => dot(DOT_LOOPS)),
  };
}

try {
  const kernels = await compile();
  kernels.read(READ_BYTES);
  kernels.dot(DOT_LOOPS / 100);
  answer("AssemblyScript with relaxed SIMD, in Node", async () => ({ rates: measure(kernels) }));
} catch (error) {
  send({ unavailable: (error as Error).message });
}
