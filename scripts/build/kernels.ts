// Compiles the AssemblyScript kernels twice: with relaxed SIMD and without. Both compute the same bits; the engine takes the first that
// the runtime knows.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { asc } from "./asc.ts";
import { kernelsDir, root } from "./paths.ts";

export const KERNELS = ["relaxed", "plain"] as const;
export type KernelBuild = (typeof KERNELS)[number];

const SOURCE = "src/engine/wasm/assembly/index.ts";
const FEATURES: Record<KernelBuild, string[]> = { relaxed: ["--enable", "relaxed-simd"], plain: [] };

/** @throws Error with the compiler's output when it fails */
export async function buildKernels(dir = kernelsDir): Promise<Record<KernelBuild, number>> {
  await mkdir(dir, { recursive: true });
  const bytes = { relaxed: 0, plain: 0 };
  for (const name of KERNELS) {
    const binary = await compileKernels(name);
    await writeFile(join(dir, `${name}.wasm`), binary);
    bytes[name] = binary.length;
  }
  return bytes;
}

/**
 * @param source AssemblyScript file, from the project's root
 * @throws Error with the compiler's output when it fails
 */
export async function compileKernels(build: KernelBuild, source = SOURCE): Promise<Uint8Array<ArrayBuffer>> {
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main(
    [
      source,
      ...["--outFile", "kernels.wasm", "--baseDir", root],
      ...["--optimizeLevel", "3", "--converge", "--noAssert"],
      ...["--runtime", "stub", "--importMemory", "--noExportMemory", "--memoryBase", "64"],
      ...["--enable", "simd", ...FEATURES[build]],
    ],
    {
      writeFile: (_name: string, content: Uint8Array | string) => {
        if (typeof content !== "string") binary = new Uint8Array(content);
      },
    },
  );
  if (error || !binary) throw new Error(`compiling the kernels failed: ${error?.message ?? ""}\n${stderr.toString()}`);
  return binary;
}
