// Steps of the build: each runs when its inputs have changed or its outputs are not what it wrote. A stamp says both.
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { z } from "zod";
import { sha256 } from "../formats/digest.ts";
import { root } from "./paths.ts";

export interface Step {
  readonly name: string;
  /** Files and folders whose content decides whether the step is stale. */
  readonly inputs: readonly string[];
  /** Files and folders that it writes. */
  readonly outputs: readonly string[];
  /** @returns what was made, for the terminal */
  run(): Promise<string>;
}

/** Digest of the inputs, and of each file that was written, by its path from the project's root. */
const stampSchema = z.strictObject({ inputs: z.string(), outputs: z.record(z.string(), z.string()) });
type Stamp = z.infer<typeof stampSchema>;

/** Files below a path in the order of their names; none where there is nothing. */
async function* filesBelow(path: string): AsyncGenerator<string> {
  const info = await stat(path).catch(() => undefined);
  if (!info?.isDirectory()) {
    if (info) yield path;
    return;
  }
  for (const name of (await readdir(path)).sort()) yield* filesBelow(join(path, name));
}

/** Digest over names and contents below the inputs; of files over 1 MiB, size and time of change stand for the content. */
export async function digestOf(inputs: readonly string[]): Promise<string> {
  const lines: string[] = [];
  for (const input of inputs) {
    for await (const path of filesBelow(resolve(root, input))) {
      const { size, mtimeMs } = await stat(path);
      const content = size > 1 << 20 ? `${size} ${mtimeMs}` : sha256(await readFile(path));
      lines.push(`${relative(root, path)} ${content}`);
    }
  }
  return sha256(lines.join("\n"));
}

async function digestsOf(outputs: readonly string[]): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const output of outputs) {
    for await (const path of filesBelow(output)) digests[relative(root, path)] = sha256(await readFile(path));
  }
  return digests;
}

async function readStamp(file: string): Promise<Stamp | undefined> {
  const text = await readFile(file, "utf8").catch(() => "");
  try {
    return stampSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * Files that a step wrote and that are missing or have other bytes now; damaged ones are removed, because a
 * step may keep what it finds.
 */
async function removeDamaged({ outputs }: Stamp): Promise<string[]> {
  const damaged: string[] = [];
  for (const [path, digest] of Object.entries(outputs)) {
    const content = await readFile(join(root, path)).catch(() => undefined);
    if (content && sha256(content) === digest) continue;
    damaged.push(path);
    await rm(join(root, path), { force: true });
  }
  return damaged;
}

/** Runs a step unless what it made is still fresh and whole. A step that is interrupted leaves no stamp. */
export async function refresh(step: Step, stamps = join(root, "dist/.stamps")): Promise<void> {
  const file = join(stamps, step.name);
  const inputs = await digestOf(step.inputs);
  const stamp = await readStamp(file);
  const damaged = stamp ? await removeDamaged(stamp) : [];
  if (stamp?.inputs === inputs && damaged.length === 0) return;
  const started = performance.now();
  const why = damaged.length > 0 ? `, because ${damaged[0]} is missing or damaged` : "";
  process.stderr.write(`building ${step.name}${why} …\n`);
  await mkdir(dirname(file), { recursive: true });
  await rm(file, { force: true });
  const result = await step.run();
  const made: Stamp = { inputs, outputs: await digestsOf(step.outputs) };
  await writeFile(`${file}.new`, JSON.stringify(made));
  await rename(`${file}.new`, file);
  process.stderr.write(`built ${step.name}: ${result} (${((performance.now() - started) / 1000).toFixed(1)} s)\n`);
}
