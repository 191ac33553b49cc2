// Compiles WebAssembly in Node. Node 20 has relaxed SIMD behind a flag; newer Nodes have it without
// one and refuse to start with that flag. So no process is started with it: the module is tried, and
// the flag is set in the running process where the module needs it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { kernelsDir } from "../../build/paths.ts";
import type { KernelModules } from "../../src/engine/wasm/index.ts";

/** Node's; the project's types are those of workerd, which compiles nothing at run time. */
const { compile, validate } = WebAssembly as unknown as {
  compile(bytes: Uint8Array): Promise<WebAssembly.Module>;
  validate(bytes: Uint8Array): boolean;
};

/**
 * Compiles a module, which may need relaxed SIMD.
 * @throws WebAssembly.CompileError where this Node cannot
 */
export function compileWasm(bytes: Uint8Array): Promise<WebAssembly.Module> {
  // A V8 flag holds for every thread of the process.
  if (!validate(bytes)) setFlagsFromString("--experimental-wasm-relaxed-simd");
  return compile(bytes);
}

/** Both builds of the kernels; only the plain one where this Node has no relaxed SIMD at all. */
export async function readKernels(): Promise<KernelModules> {
  const build = async (name: string) => compileWasm(await readFile(join(kernelsDir, `${name}.wasm`)));
  const relaxed = await build("relaxed").catch(() => undefined);
  return { relaxed, plain: await build("plain") };
}
