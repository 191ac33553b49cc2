// Opens a checkpoint, whatever it lies in.
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { readRecipes } from "../../scripts/build/catalogue.ts";
import { readWhole } from "../../scripts/build/checkpoint.ts";
import { modelsDir, recipesDir } from "../../scripts/build/paths.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { UserError } from "../error.ts";
import { openFile } from "./file.ts";
import { openGguf } from "./gguf.ts";
import { openHuggingFace } from "./hf.ts";

/**
 * @param source a `.gguf` file; a folder with a manifest of parts, as those under models/; a Hugging Face folder;
 *   or the id of a base that a recipe here has
 * @throws UserError that names the file, metadata or tensor at fault
 */
export async function openCheckpoint(source: string): Promise<Checkpoint> {
  const kind = await stat(source).catch(() => undefined);
  if (kind?.isFile()) return openGguf(await openFile(source, basename(source)), source);
  if (kind?.isDirectory()) return openFolder(resolve(source), source);
  const base = await baseOf(source);
  if (base) return openParts(join(modelsDir, base), source);
  throw new UserError(`${source} is no file, folder or base model`);
}

/** The folder under models/ of a base, by its own name or by the id of a recipe of it that changes nothing. */
async function baseOf(id: string): Promise<string | undefined> {
  const recipes = await readRecipes(recipesDir);
  const recipe = recipes.find((recipe) => recipe.id === id || recipe.base === id);
  return recipe?.base;
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
  return openGguf({ name: manifest.file, size: file.length, read, close: async () => undefined }, name);
}
