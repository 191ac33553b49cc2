// Downloads a model from a Hugging Face hub into a folder of its own: once, going on where it was cut off, each file held to its digest.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { downloadFile, type ListFileEntry, listFiles } from "@huggingface/hub";
import { UserError } from "../formats/error.ts";
import { shardGroup } from "../formats/gguf/shards.ts";
import { INDEX } from "../formats/hugging-face/shards.ts";
import { SIDE_FILES } from "../formats/tokenizer/convert.ts";
import { commandVariable } from "../src/config.ts";
import { artifactsFolder } from "./store.ts";

export const HUB_ID = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

export interface DownloadOptions {
  /** Default: `HF_ENDPOINT`, else the public hub. */
  readonly hubUrl?: string | undefined;
  /** Folder of all downloads. Default: `downloads` among the artifacts. */
  readonly folder?: string | undefined;
}

/** Names the files of a whole download; written last. */
const COMPLETE = ".complete.json";

/**
 * @param id as `org/name`
 * @returns the folder with its files
 * @throws UserError naming the model or file that is not there, was cut off or does not have its digest
 */
export async function downloadModel(id: string, options: DownloadOptions = {}): Promise<string> {
  const { hubUrl = commandVariable("HF_ENDPOINT"), folder = join(artifactsFolder(), "downloads") } = options;
  const accessToken = commandVariable("HF_TOKEN");
  const target = join(folder, id);
  if (await isComplete(target)) return target;
  const hub = {
    repo: { type: "model", name: id } as const,
    ...(hubUrl ? { hubUrl } : {}),
    ...(accessToken ? { accessToken } : {}),
  };
  const failed = (what: string) => (error: Error) => {
    if (error instanceof UserError) throw error;
    throw new UserError(`${what} cannot be downloaded: ${error.message}. What is there is kept: try again`);
  };
  const files = choose(id, await collect(listFiles(hub)).catch(failed(id)));
  await mkdir(target, { recursive: true });
  for (const file of files) await fetchFile(target, file).catch(failed(`${id}/${file.path}`));
  await writeFile(join(target, COMPLETE), JSON.stringify(files.map(({ path, size }) => ({ path, size }))));
  return target;

  async function fetchFile(target: string, file: ListFileEntry): Promise<void> {
    const path = join(target, file.path);
    if ((await sizeOf(path)) === file.size) return;
    const part = `${path}.part`;
    const blob = await downloadFile({ ...hub, path: file.path, xet: false });
    if (!blob) throw new Error("the hub does not have it");
    const handle = await open(part, "a");
    try {
      let at = (await handle.stat()).size;
      if (at > file.size) {
        await handle.truncate(0);
        at = 0;
      }
      if (at < file.size) {
        for await (const chunk of blob.slice(at).stream() as unknown as AsyncIterable<Uint8Array>) {
          await handle.write(chunk);
          at += chunk.length;
          process.stderr.write(`\r${id}/${file.path}: ${(at / 1e6).toFixed(0)} of ${(file.size / 1e6).toFixed(0)} MB`);
        }
        process.stderr.write("\n");
      }
      await handle.sync();
      if (at !== file.size) throw new Error(`it was cut off at ${at} of ${file.size} bytes`);
    } finally {
      await handle.close();
    }
    if (!(await hasDigest(part, file))) {
      await rm(part);
      throw new UserError(`${id}/${file.path} does not have the digest that the hub names: it was removed, try again`);
    }
    await rename(part, path);
  }
}

/** The files that a checkpoint or an adapter is read from. */
function choose(id: string, files: readonly ListFileEntry[]): ListFileEntry[] {
  const there = files.filter(({ type, path }) => type === "file" && /^[A-Za-z0-9][\w.-]*$/.test(path));
  const weights = there.filter(({ path }) => path.endsWith(".safetensors") || path === INDEX);
  const ggufs = there.filter(({ path }) => path.endsWith(".gguf"));
  const side = there.filter(({ path }) => SIDE_FILES.includes(path) || path === "adapter_config.json");
  if (weights.length > 0) return [...side, ...weights];
  if (ggufs.length > 0 && new Set(ggufs.map(({ path }) => shardGroup(path))).size === 1) return ggufs;
  const names = ggufs.map(({ path }) => path).join(", ");
  throw new UserError(
    ggufs.length > 1
      ? `${id} has several GGUF files (${names}): download one and name the file`
      : `${id} has no safetensors and no GGUF file`,
  );
}

/** sha256 of what lies in the large file storage, else git's digest of a blob. */
async function hasDigest(path: string, { lfs, oid, size }: ListFileEntry): Promise<boolean> {
  const hash = lfs ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex") === (lfs?.oid ?? oid)?.replace("sha256:", "");
}

async function isComplete(target: string): Promise<boolean> {
  const text = await readFile(join(target, COMPLETE), "utf8").catch(() => undefined);
  if (text === undefined) return false;
  const files = JSON.parse(text) as { path: string; size: number }[];
  const sizes = await Promise.all(files.map(({ path }) => sizeOf(join(target, path))));
  return sizes.every((size, i) => size === files[i]?.size);
}

const sizeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  );

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
