// What one core could do at most, measured in the same runtime: reading memory, and products on registers.
import { compileKernels } from "../scripts/build/kernels.ts";

interface Peaks {
  /** GB/s. */
  bandwidth(): number;
  /** GFLOP/s, two operations to a multiply-add. */
  dots(): number;
}

const BYTES = 96 * 2 ** 20;
const PRODUCTS = 4e6;

/** @param now milliseconds */
export async function measurePeaks(now: () => number): Promise<Peaks> {
  const memory = new WebAssembly.Memory({ initial: BYTES / 65_536 });
  const module = await WebAssembly.compile(await compileKernels("relaxed", "src/engine/wasm/assembly/peaks.ts"));
  const { read, dots } = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as {
    read(from: number, bytes: number): bigint;
    dots(count: number): number;
  };
  new Uint8Array(memory.buffer).fill(1);
  const seconds = (run: () => unknown): number => {
    const started = now();
    run();
    return (now() - started) / 1000;
  };
  for (let i = 0; i < 20; i++) dots(10_000);
  for (let i = 0; i < 50; i++) read(0, 1 << 20);
  return {
    bandwidth: () => BYTES / seconds(() => read(0, BYTES)) / 1e9,
    dots: () => (PRODUCTS * 8 * 32) / seconds(() => dots(PRODUCTS)) / 1e9,
  };
}
