// Takes in what other programs made: recipes of a base, or whole checkpoints.
import { readdir, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { checkRecipe } from "../../build/check-recipe.ts";
import { readCheckpoint } from "../../build/checkpoint.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";
import type { LowRankAdapter } from "../../formats/peft/write.ts";
import { peftFiles } from "../../formats/peft/write.ts";
import { type Slot, type SlotRecipe, slotRecipeSchema } from "../../src/variants/index.ts";
import { downloadModel, HUB_ID } from "../hub.ts";
import { openCheckpoint } from "../open.ts";
import { writeArtifact } from "../store.ts";
import { findBase } from "./bases.ts";
import { importCheckpoint } from "./checkpoint.ts";
import { hasDropLists, modelOfDropLists, readDropLists } from "./drop-lists.ts";
import { readMergekit } from "./mergekit.ts";
import { readPeft, readPeftConfig } from "./peft.ts";
import { check, readParsed } from "./text.ts";

export interface ImportOptions {
  readonly id?: string | undefined;
  /** The base that a recipe is of. Default: the one that the source names. */
  readonly base?: string | undefined;
  readonly force?: boolean | undefined;
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

const VERSION = "1";

/**
 * @returns the recipe's file, which `npm start` serves
 * @throws UserError naming the file and what of it cannot be taken in
 */
export async function importSource(source: string, options: ImportOptions = {}): Promise<string> {
  const id = options.id ?? idOf(source);
  if (!/^[a-z0-9][a-z0-9.-]{0,99}$/.test(id)) {
    throw new UserError(`${id} is no id: give one with --id, of lower-case letters, digits, dots and hyphens`);
  }
  const local = await localOf(source);
  const kind = await kindOf(local);
  if (kind) return importRecipe(await KINDS[kind](local, options.base), id, source, kind, options);
  const checkpoint = await openCheckpoint(source);
  try {
    const { recipe } = await importCheckpoint(checkpoint, { ...options, id });
    const provenance = {
      method: "import",
      arguments: { source: basename(source) },
      checkpoint: checkpoint.digest,
      version: VERSION,
    };
    return (await writeArtifact({ recipe, tensors: [], provenance }, { force: options.force })).file;
  } finally {
    await checkpoint.close();
  }
}

interface Taken {
  readonly base: string;
  readonly checkpoint: Checkpoint;
  readonly slots: readonly Slot[];
  readonly adapter?: LowRankAdapter;
}

const whole = ({ shape }: Checkpoint): Slot[] => shape.layers.map((_, layer) => ({ layer, attn: true, mlp: true }));

const KINDS = {
  async mergekit(file: string, given?: string): Promise<Taken> {
    const { model, lora, slots } = await readMergekit(file);
    const base = await findBase(given ?? model, file);
    const checkpoint = await openCheckpoint(base);
    if (lora === undefined) return { base, slots, checkpoint };
    const folder = await localOf(lora);
    return { base, slots, checkpoint, adapter: await readPeft(folder, await readPeftConfig(folder), checkpoint) };
  },
  async "drop lists"(source: string, given?: string): Promise<Taken> {
    const file = source.endsWith(".json") ? source : join(source, "config.json");
    const config = await readParsed(file, JSON.parse, "JSON");
    const model = given ?? modelOfDropLists(config, file);
    if (!model) throw new UserError(`${file} does not say which model it is of: say which base with --base`);
    const base = await findBase(model, file);
    const checkpoint = await openCheckpoint(base);
    return { base, checkpoint, slots: readDropLists(config, file, checkpoint.shape) };
  },
  async peft(folder: string, given?: string): Promise<Taken> {
    const config = await readPeftConfig(folder);
    const model = given ?? config.base_model_name_or_path;
    if (!model) throw new UserError(`${folder}/adapter_config.json names no base: say which with --base`);
    const base = await findBase(model, folder);
    const checkpoint = await openCheckpoint(base);
    return { base, checkpoint, slots: whole(checkpoint), adapter: await readPeft(folder, config, checkpoint) };
  },
  async recipe(file: string, given?: string): Promise<Taken> {
    const recipe = check(slotRecipeSchema, await readParsed(file, JSON.parse, "JSON"), file);
    if (recipe.layers || recipe.tensors || recipe.adapter) {
      throw new UserError(
        `${file} names layers, tensors or an adapter, which are not in the file: only recipes of slots are taken in`,
      );
    }
    const base = await findBase(given ?? recipe.base, file);
    return { base, slots: recipe.slots, checkpoint: await openCheckpoint(base) };
  },
};
type Kind = keyof typeof KINDS;

/** Where a source lies on the disk: what is none's path and has the form of a Hugging Face id is downloaded. */
async function localOf(source: string): Promise<string> {
  const found = await stat(source).catch(() => undefined);
  return !found && HUB_ID.test(source) ? downloadModel(source) : source;
}

/** What a source is a recipe as; undefined for a checkpoint. */
async function kindOf(source: string): Promise<Kind | undefined> {
  const found = await stat(source).catch(() => undefined);
  if (found?.isFile() && /\.ya?ml$/.test(source)) return "mergekit";
  const names = found?.isDirectory() ? await readdir(source) : [];
  if (names.includes("adapter_config.json")) return "peft";
  const json = names.includes("config.json")
    ? join(source, "config.json")
    : source.endsWith(".json")
      ? source
      : undefined;
  if (!json) return undefined;
  const config = await readParsed(json, JSON.parse, "JSON");
  if (hasDropLists(config)) return "drop lists";
  if (found?.isDirectory()) return undefined;
  if (typeof config === "object" && config && "slots" in config) return "recipe";
  throw new UserError(`${source} is neither a recipe nor LLM-Drop's config.json with drop_attn_list or drop_mlp_list`);
}

async function importRecipe(
  { base, checkpoint, slots, adapter }: Taken,
  id: string,
  source: string,
  kind: Kind,
  { force }: ImportOptions,
): Promise<string> {
  const layers = checkpoint.shape.layers.length;
  const beyond = slots.findIndex(({ layer }) => layer >= layers);
  if (beyond >= 0) {
    throw new UserError(
      `${source}: slot ${beyond} is of layer ${slots[beyond]?.layer}; ${base} has 0 to ${layers - 1}`,
    );
  }
  if (slots.length > 1024) throw new UserError(`${source} has ${slots.length} slots; a recipe has 1024 at most`);
  const recipe: SlotRecipe = {
    id,
    base,
    title: `Imported from ${basename(source)}`,
    origin: { source: basename(source), section: kind },
    status: "experimental",
    slots: [...slots],
  };
  const bytes = adapter && peftFiles(adapter, base).get("adapter_model.safetensors");
  await readCheckpoint(base)
    .then((built) => checkRecipe(recipe, built, bytes && { file: source, bytes, scaleOf: () => 1 }))
    .catch((error: Error) => {
      throw new UserError(`${source} cannot be served: ${error.message}`);
    });
  const provenance = {
    method: "import",
    arguments: { source: basename(source), kind },
    checkpoint: checkpoint.digest,
    version: VERSION,
  };
  const { file } = await writeArtifact({ recipe, tensors: [], adapter, provenance }, { force });
  return file;
}

/** A source's name as an id: `org/Tiny_Model.gguf` is `tiny-model`. */
function idOf(source: string): string {
  const name = basename(source, /\.(gguf|json|ya?ml)$/.test(source) ? extname(source) : "");
  return name
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, "-")
    .replace(/^[-.]+/, "");
}
