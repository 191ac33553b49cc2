// Which base of this project another program's file is about.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readAllRecipes } from "../../build/catalogue.ts";
import { checkpointDir } from "../../build/checkpoint.ts";
import { UserError } from "../../formats/error.ts";

const manifestSchema = z.object({ origin: z.string() });

/** A base's Hugging Face id, with which its manifest's origin begins; its own id where it does not. */
export async function originOf(base: string): Promise<string> {
  const text = await readFile(join(checkpointDir(base), "manifest.json"), "utf8").catch(() => undefined);
  if (text === undefined) return base;
  const { origin } = manifestSchema.parse(JSON.parse(text));
  return /^[\w.-]+\/[\w.-]+/.exec(origin)?.[0] ?? base;
}

/**
 * The base that goes by a name: its own, that of a recipe of it, or its Hugging Face id.
 * @throws UserError when there is none
 */
export async function findBase(name: string, where: string): Promise<string> {
  const recipes = await readAllRecipes();
  const recipe = recipes.find(({ id, base }) => id === name || base === name);
  if (recipe) return recipe.base;
  const bases = [...new Set(recipes.map(({ base }) => base))];
  for (const base of bases) if ((await originOf(base)) === name) return base;
  throw new UserError(`${where} is about ${name}, which is no base here (${bases.join(", ")}): say which with --base`);
}
