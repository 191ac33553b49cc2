// What a recipe calls the checkpoint that it is made from, and how the ids of its variants begin.
import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { readRecipes } from "../build/catalogue.ts";
import { recipesDir } from "../build/paths.ts";
import { UserError } from "../formats/error.ts";

export interface BaseNames {
  /** The recipe's `base`. */
  readonly base: string;
  /** The recipe's `layers`. */
  readonly layers?: string | undefined;
  /** Beginning of variant ids. */
  readonly prefix: string;
}

/**
 * @param source as `openCheckpoint` takes it: a base that recipes name already, or a folder or file, whose name becomes the base's
 * @throws UserError when no id can be made of the name
 */
export async function namesOf(source: string): Promise<BaseNames> {
  const isPath = await stat(source).then(
    () => true,
    () => false,
  );
  const known = (await readRecipes(recipesDir)).filter(({ id, base }) =>
    isPath ? base === basename(resolve(source)) : id === source || base === source,
  );
  const variant = known.find(({ id }) => id === source);
  const base = known[0]?.base ?? slug(basename(resolve(source)));
  if (base === "") throw new UserError(`${source}: no id can be made of this name; rename it`);
  const ids = known.map(({ id }) => id).sort((a, b) => a.length - b.length);
  return { base, layers: variant && "slots" in variant ? variant.layers : undefined, prefix: ids[0] ?? base };
}

const slug = (name: string): string =>
  name
    .toLowerCase()
    .replace(/\.(gguf|safetensors)$/, "")
    .replace(/[^a-z0-9.]+/g, "-")
    .replace(/^[-.]+|-+$/g, "")
    .slice(0, 60);
