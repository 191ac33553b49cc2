// The checkpoint as the one GGUF file that the peers read: the committed parts put together and checked.
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { modelsDir, root } from "../build/paths.ts";
import { sha256 } from "../formats/digest.ts";

export const benchDir = join(root, "dist/bench");

interface Manifest {
  readonly file: string;
  readonly sha256: string;
  readonly parts: readonly { readonly file: string }[];
}

/**
 * @returns path of the file under dist/bench
 * @throws Error when the parts together do not have the manifest's sha256
 */
export async function ggufFile(baseId: string): Promise<string> {
  const dir = join(modelsDir, baseId);
  const manifest: Manifest = JSON.parse(await readFile(join(dir, "manifest.json"), "utf8"));
  const path = join(benchDir, manifest.file);
  const there = await readFile(path).catch(() => undefined);
  if (there && sha256(there) === manifest.sha256) return path;
  const bytes = Buffer.concat(await Promise.all(manifest.parts.map((part) => readFile(join(dir, part.file)))));
  if (sha256(bytes) !== manifest.sha256) {
    throw new Error(`models/${baseId}: the parts are not ${manifest.file}; get them back with git checkout -- models`);
  }
  await mkdir(benchDir, { recursive: true });
  await writeFile(`${path}.part`, bytes);
  await rename(`${path}.part`, path);
  return path;
}
