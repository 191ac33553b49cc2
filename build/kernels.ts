// Compiles the AssemblyScript kernels twice: with relaxed SIMD and without. Both compute the same bits; the engine takes the first that
// the runtime knows.
import { execFile } from "node:child_process";
import { mkdir, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { kernelsDir, root } from "./paths.ts";

const KERNELS = ["relaxed", "plain"] as const;
export type KernelBuild = (typeof KERNELS)[number];

export interface Compilation {
  readonly build: KernelBuild;
  /** AssemblyScript file, from the project's root. */
  readonly source: string;
  /** Where the WebAssembly goes. */
  readonly file: string;
}

const FEATURES: Record<KernelBuild, string[]> = { relaxed: ["--enable", "relaxed-simd"], plain: [] };

/**
 * @returns bytes of each build
 * @throws Error with the compiler's output when it fails
 */
export async function buildKernels(dir = kernelsDir): Promise<Record<KernelBuild, number>> {
  await mkdir(dir, { recursive: true });
  const fileOf = (build: KernelBuild): string => join(dir, `${build}.wasm`);
  const source = "src/engine/wasm/assembly/index.ts";
  await compile(KERNELS.map((build) => ({ build, source, file: fileOf(build) })));
  const bytesOf = async (build: KernelBuild): Promise<number> => (await stat(fileOf(build))).size;
  return { relaxed: await bytesOf("relaxed"), plain: await bytesOf("plain") };
}

/** @throws Error with the compiler's output when it fails */
export async function compile(compilations: readonly Compilation[]): Promise<void> {
  const commands = compilations.map(({ build, source, file }) => [
    source,
    // The compiler takes all paths from the base folder.
    ...["--outFile", relative(root, file), "--baseDir", root],
    ...["--optimizeLevel", "3", "--converge", "--noAssert"],
    ...["--runtime", "stub", "--importMemory", "--noExportMemory", "--memoryBase", "64"],
    ...["--enable", "simd", ...FEATURES[build]],
  ]);
  const compiler = join(root, "build/asc.mjs");
  await promisify(execFile)(process.execPath, [compiler, JSON.stringify(commands)], { cwd: root }).catch(
    ({ message, stderr }: { message: string; stderr?: string }) => {
      throw new Error(`compiling the kernels failed:\n${stderr || message}`);
    },
  );
}
