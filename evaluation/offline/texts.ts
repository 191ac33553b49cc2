// The texts of tasks, checked against the digests that they must have.

import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { unzipSync } from "fflate";
import { root } from "../../build/paths.ts";
import { sha256 } from "../../formats/digest.ts";
import { commandVariable } from "../../src/config.ts";
import { SOURCES, type Source, type SourceId } from "../sources.ts";

export interface SourceOptions {
  /** Folder with the texts that the project does not hold; they may also be in `cache`, and are downloaded to there. */
  readonly dataDir: string | undefined;
  readonly cache: string;
}

/** FRANKEN_DATA, or ../shared/datasets where that exists. */
export function dataDirectory(): string | undefined {
  const beside = join(root, "../shared/datasets");
  return commandVariable("FRANKEN_DATA") ?? (existsSync(beside) ? beside : undefined);
}

/** @throws Error that names the file which is missing or damaged, and says how to get it */
export async function readSource(id: SourceId, options: SourceOptions): Promise<string> {
  const source: Source = SOURCES[id];
  const bytes = source.shipped ? await readShipped(source, root) : await readOrDownload(source, options);
  return Buffer.from(bytes).toString("utf8");
}

/** @param folder that the source's file is in */
export async function readShipped({ file, sha256: expected }: Source, folder: string): Promise<Uint8Array> {
  const restore = `get it back with \`git checkout -- ${file}\``;
  const packed = await readFile(join(folder, file)).catch(() => {
    throw new Error(`${file} is missing: ${restore}`);
  });
  let bytes: Uint8Array;
  try {
    bytes = gunzipSync(packed);
  } catch (error) {
    throw new Error(`${file} is damaged (${(error as Error).message}): ${restore}`);
  }
  if (sha256(bytes) !== expected) throw new Error(`${file} is damaged (its text has another sha256): ${restore}`);
  return bytes;
}

async function readOrDownload(source: Source, { dataDir, cache }: SourceOptions): Promise<Uint8Array> {
  for (const folder of [dataDir, cache]) {
    const path = folder && join(folder, source.file);
    if (!path || !existsSync(path)) continue;
    const bytes = await readFile(path);
    if (sha256(bytes) !== source.sha256) {
      throw new Error(`${path} is damaged, or not ${source.title}: ${howToGet(source)}`);
    }
    return bytes;
  }
  const { download: from } = source;
  if (!from) throw new Error(`${source.title} is missing: ${howToGet(source)}`);
  const bytes = await download(from, source.sha256).catch((error: Error & { cause?: Error }) => {
    const reason = error.cause?.message ?? error.message;
    throw new Error(`${source.title} is missing, and could not be downloaded (${reason}): ${howToGet(source)}`);
  });
  const path = join(cache, source.file);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
  return bytes;
}

function howToGet({ file, sha256: digest, download: from, origin }: Source): string {
  const what = from ? `${from.entry} of ${from.url}` : origin;
  return `put it as ${file} (sha256 ${digest}) into a folder and name the folder with FRANKEN_DATA; it is ${what}`;
}

async function download(from: NonNullable<Source["download"]>, expected: string): Promise<Uint8Array> {
  const response = await fetch(from.url);
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  return entryOf(new Uint8Array(await response.arrayBuffer()), from, expected);
}

/** The text in an archive, both checked. */
export function entryOf(archive: Uint8Array, from: NonNullable<Source["download"]>, expected: string): Uint8Array {
  if (sha256(archive) !== from.sha256)
    throw new Error(`the archive is not the one expected: its sha256 is ${sha256(archive)}`);
  const entry = unzipSync(archive, { filter: ({ name }) => name === from.entry })[from.entry];
  if (!entry || sha256(entry) !== expected) throw new Error(`the archive does not hold ${from.entry} as expected`);
  return entry;
}
