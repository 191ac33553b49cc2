// A folder of files under the names that their contents give them: each is written once, and stays while something wants it.
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "../formats/digest.ts";
import type { BuiltFile } from "../src/variants/index.ts";

export interface Files {
  /** Adds a file. */
  add(bytes: Uint8Array): Promise<BuiltFile>;
  /** Wants a file that an earlier build added. @returns false when it is not there any more, or of another size */
  keep(file: BuiltFile): Promise<boolean>;
}

export interface Folder extends Files {
  /** Names of the files added or kept since it was opened. */
  readonly wanted: ReadonlySet<string>;
  /** Removes everything else. */
  prune(): Promise<void>;
}

export async function openFolder(dir: string): Promise<Folder> {
  await mkdir(dir, { recursive: true });
  const wanted = new Set<string>();
  return {
    wanted,
    async add(bytes) {
      const digest = sha256(bytes);
      const name = `${digest}.bin`;
      if (!wanted.has(name)) {
        const there = await readFile(join(dir, name)).catch(() => undefined);
        if (!there?.equals(bytes)) {
          await writeFile(join(dir, `${name}.new`), bytes);
          await rename(join(dir, `${name}.new`), join(dir, name));
        }
        wanted.add(name);
      }
      return { file: name, sha256: digest, bytes: bytes.length };
    },
    async keep({ file, bytes }) {
      const info = await stat(join(dir, file)).catch(() => undefined);
      if (info?.size !== bytes) return false;
      wanted.add(file);
      return true;
    },
    async prune() {
      for (const name of await readdir(dir)) if (!wanted.has(name)) await rm(join(dir, name), { recursive: true });
    },
  };
}

export const PART_BYTES = 24 * 1024 * 1024;

/** Cuts a file into parts that fit a Workers static asset, and adds them. */
export async function addParts(files: Files, bytes: Uint8Array): Promise<BuiltFile[]> {
  const parts: BuiltFile[] = [];
  for (let start = 0; start < bytes.length; start += PART_BYTES) {
    parts.push(await files.add(bytes.subarray(start, start + PART_BYTES)));
  }
  return parts;
}
