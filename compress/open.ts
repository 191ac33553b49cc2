// Opens a checkpoint, whatever it lies in.
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { readAllRecipes } from "../build/catalogue.ts";
import { checkpointDir, readWhole } from "../build/checkpoint.ts";
import { openLayers } from "../build/layers.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { UserError } from "../formats/error.ts";
import { openGguf } from "../formats/gguf/checkpoint.ts";
import { openShards } from "../formats/gguf/shards.ts";
import { openHuggingFace } from "../formats/hugging-face/checkpoint.ts";
import { withLayers } from "./apply/overlay.ts";
import { downloadModel, HUB_ID } from "./hub.ts";

/**
 * @param source a `.gguf` file, or any shard of one that was split; a folder with a manifest of parts, as those under models/; a Hugging Face folder;
 *   a Hugging Face id, which is downloaded; or the id of a base that a recipe here has
 * @throws UserError that names the file, metadata or tensor at fault
 */
export async function openCheckpoint(source: string): Promise<Checkpoint> {
  const kind = await stat(source).catch(() => undefined);
  if (kind?.isFile()) return openGguf(await openShards(source), source);
  if (kind?.isDirectory()) return openFolder(resolve(source), source);
  if (HUB_ID.test(source)) {
    const folder = await downloadModel(source);
    const [file] = (await readdir(folder)).filter((name) => name.endsWith(".gguf"));
    return file
      ? openGguf(await openShards(join(folder, file), `${source}/${file}`), source)
      : openFolder(folder, source);
  }
  const recipe = (await readAllRecipes()).find((recipe) => recipe.id === source || recipe.base === source);
  if (recipe) return openModelOf(recipe.id === source ? recipe : { base: recipe.base }, source);
  throw new UserError(`${source} is no file, folder, base model or Hugging Face id (org/name)`);
}

/**
 * What a recipe's slots count the layers of: its base, or that with layers of their own.
 * @throws UserError that names the folder of layers, and the file or tensor at fault
 */
export async function openModelOf(
  recipe: { base: string; layers?: string | undefined },
  name = recipe.base,
): Promise<Checkpoint> {
  const base = await openParts(checkpointDir(recipe.base), name);
  if (recipe.layers === undefined) return base;
  const layers = await openLayers(recipe.layers).catch((error: Error) => {
    throw new UserError(error.message);
  });
  return withLayers(base, layers);
}

async function openFolder(folder: string, name: string): Promise<Checkpoint> {
  const holds = new Set(await readdir(folder));
  if (holds.has("manifest.json")) return openParts(folder);
  if (holds.has("config.json")) return openHuggingFace(folder, name);
  throw new UserError(`${name} has neither manifest.json nor config.json: it is no checkpoint`);
}

async function openParts(folder: string, name = basename(folder)): Promise<Checkpoint> {
  const { manifest, file } = await readWhole(basename(folder), folder).catch((error: Error) => {
    throw new UserError(error.message);
  });
  const read = async (start: number, length: number) => file.slice(start, start + length);
  return openGguf([{ name: manifest.file, size: file.length, read, close: async () => undefined }], name);
}
