// Puts what an export makes in place: whole, or not at all.
import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { UserError } from "../formats/error.ts";
import { removeAbandoned } from "./store.ts";

/** A file's bytes in order. */
export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** A file, or a folder of files by name. */
export type Output =
  | { readonly kind: "file"; readonly chunks: Chunks }
  | { readonly kind: "folder"; readonly files: ReadonlyMap<string, Chunks> };

export interface PutOptions {
  /** Replaces what is there. Default: false. */
  readonly force?: boolean | undefined;
  /** Called with the bytes of each chunk written. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  /** Writes a chunk. For tests. */
  readonly write?: ((handle: FileHandle, chunk: Uint8Array) => Promise<void>) | undefined;
}

/** In a folder of the user's, names must be nobody else's. */
const TEMPORARY = ".franken-tmp-";
const writeAll = (handle: FileHandle, chunk: Uint8Array): Promise<void> => handle.writeFile(chunk);

/**
 * Writes under a temporary name beside `path`, and renames it at the end.
 * @throws UserError when something is there and `force` is not set, or when it cannot be written: then what was there still is
 */
export async function putOutput(
  path: string,
  output: Output,
  { force = false, onBytes, write = writeAll }: PutOptions = {},
): Promise<void> {
  const target = resolve(path);
  if (!force && (await isTaken(target))) {
    throw new UserError(`${path} is there already: choose another --out, or replace it with --force`);
  }
  const folder = dirname(target);
  const temporary = join(folder, `${TEMPORARY}${process.pid}-${randomUUID()}`);
  const writeFile = async (file: string, chunks: Chunks): Promise<void> => {
    const handle = await open(file, "wx");
    try {
      for await (const chunk of chunks) {
        await write(handle, chunk);
        onBytes?.(chunk.length);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  };
  try {
    await mkdir(folder, { recursive: true });
    await removeAbandoned(folder, TEMPORARY);
    if (output.kind === "file") await writeFile(temporary, output.chunks);
    else {
      await mkdir(temporary);
      for (const [name, chunks] of output.files) await writeFile(join(temporary, name), chunks);
    }
    await replace(temporary, target);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (!code) throw error;
    const why = code === "ENOSPC" ? "the disk is full" : message;
    throw new UserError(`${basename(path)} was not written to ${folder}: ${why}. Nothing of it is left`);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** A folder with something in it, or a file. */
export async function isTaken(target: string): Promise<boolean> {
  const found = await stat(target).catch(() => undefined);
  if (!found) return false;
  return !found.isDirectory() || (await readdir(target)).length > 0;
}

/** A folder cannot be renamed over another that has files: the old one steps aside first. */
async function replace(temporary: string, target: string): Promise<void> {
  const aside = `${temporary}-old`;
  const old = await rename(target, aside).then(
    () => true,
    () => false,
  );
  try {
    await rename(temporary, target);
  } catch (error) {
    if (old) await rename(aside, target);
    throw error;
  }
  if (old) await rm(aside, { recursive: true, force: true });
}
