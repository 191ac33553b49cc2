// What training leaves: layers that go with a base's embedding and head, or an adapter to the base, and the variants that are made of them.
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type AdapterSource, packAdapter } from "../../build/adapter.ts";
import { withoutWeights } from "../../build/check-recipe.ts";
import { checkpointDir, readCheckpoint } from "../../build/checkpoint.ts";
import { PART_BYTES } from "../../build/content-store.ts";
import { readLayers, staysWith } from "../../build/layers.ts";
import { modelsDir, recipesDir } from "../../build/paths.ts";
import { modelConfig } from "../../build/weight-set.ts";
import { sha256 } from "../../formats/digest.ts";
import { UserError } from "../../formats/error.ts";
import { scaleOf } from "../../formats/peft/config.ts";
import { shapesOf, slotProblem } from "../../src/engine/wasm/index.ts";
import type { BaseModel } from "../../src/variants/index.ts";
import {
  compilePlan,
  provenanceSchema,
  type SlotRecipe,
  slotRecipeSchema,
  slotSchema,
} from "../../src/variants/index.ts";
import { openCheckpoint } from "../open.ts";
import { type Chunks, isTaken, putOutput } from "../output.ts";
import { artifactsFolder } from "../store.ts";
import { findBase, originOf } from "./bases.ts";
import { readPeftConfig } from "./peft.ts";
import { check, readParsed } from "./text.ts";

const STUDENT_FILE = "student.json";
const LAYERS_FILE = "student.safetensors";
const ADAPTER_FILES = ["adapter_config.json", "adapter_model.safetensors"] as const;

/** Whether training left this. */
export const isStudent = (folder: string): Promise<boolean> =>
  stat(join(folder, STUDENT_FILE)).then(
    () => true,
    () => false,
  );

const id = slotRecipeSchema.shape.id;
const studentSchema = z.strictObject({
  /** Of the folder that the weights go to, and of the weight set that layers make. */
  id,
  base: z.string().min(1),
  /** Whether the file's layers are all, or take the place of the base's of the same numbers, which slots then count. */
  layers: z.enum(["all", "some"]).default("all"),
  plans: z
    .record(id, z.strictObject({ title: z.string().min(1), slots: z.array(slotSchema).min(1).max(1024) }))
    .refine((plans) => Object.keys(plans).length > 0, "there must be a plan"),
  provenance: provenanceSchema.omit({ checkpoint: true, calibration: true }),
});
type Student = z.infer<typeof studentSchema>;

export interface StudentOptions {
  /** Writes into the project what is to be committed, and not among the artifacts. */
  readonly ship?: boolean | undefined;
  readonly base?: string | undefined;
  readonly force?: boolean | undefined;
}

/** What a student goes with. */
interface Base {
  readonly model: BaseModel;
  /** Hugging Face's name of it. */
  readonly origin: string;
  readonly created: number;
  readonly license: string;
  /** The license's text. */
  readonly terms: Uint8Array;
}

/** What a folder's weights are: files to keep, and what they make of a recipe. */
interface Weights {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly part: Pick<SlotRecipe, "layers" | "adapter">;
  /** @throws Error that names the recipe, and the slot or tensor that does not fit */
  check(recipe: SlotRecipe): void;
}

/**
 * Writes a folder of weights, then a recipe for each plan.
 * @returns the recipes' files
 * @throws UserError naming the file, tensor, plan or slot at fault: then nothing is written
 */
export async function importStudent(folder: string, options: StudentOptions): Promise<string[]> {
  const file = join(folder, STUDENT_FILE);
  const student = check(studentSchema, await readParsed(file, JSON.parse, "JSON"), file);
  const base = await findBase(options.base ?? student.base, file);
  const opened = await openBase(base);
  const hasLayers = await stat(join(folder, LAYERS_FILE)).catch(() => undefined);
  const place = `${options.ship ? "" : "artifacts/"}models/${student.id}`;
  const weights = await (hasLayers ? layersOf : adapterOf)(folder, student, opened, place);
  const recipes = await recipesOf(student, base, opened.origin, weights.part);
  for (const recipe of recipes) {
    try {
      weights.check(recipe);
    } catch (error) {
      throw new UserError(`${folder}: ${(error as Error).message}`);
    }
  }
  const target = join(options.ship ? modelsDir : join(artifactsFolder(), "models"), student.id);
  const recipeFolder = options.ship ? recipesDir : join(artifactsFolder(), "recipes");
  const files = recipes.map((recipe) => join(recipeFolder, `${recipe.id}.json`));
  for (const path of options.force ? [] : [target, ...files]) {
    if (await isTaken(path)) throw new UserError(`${path} is there already: replace it with --force`);
  }
  await putOutput(target, { kind: "folder", files: asChunks(weights.files) }, { force: true });
  for (const [i, recipe] of recipes.entries()) {
    await putOutput(files[i] as string, { kind: "file", chunks: [Buffer.from(recipeText(recipe))] }, { force: true });
  }
  return files;
}

/** As recipes that ship are written: a slot a line, and of it only what is not so anyway. */
function recipeText({ slots, ...rest }: SlotRecipe): string {
  const lines = slots.map(({ layer, attn, mlp }) => {
    const parts = [`"layer": ${layer}`, ...(attn ? [] : ['"attn": false']), ...(mlp ? [] : ['"mlp": false'])];
    return `    { ${parts.join(", ")} }`;
  });
  const head = JSON.stringify(rest, null, 2).replace(/\n}$/, "");
  return `${head},\n  "slots": [\n${lines.join(",\n")}\n  ]\n}\n`;
}

async function openBase(id: string): Promise<Base> {
  const checkpoint = await readCheckpoint(id);
  const { created, license, licenseFile } = checkpoint.manifest;
  return {
    model: withoutWeights(id, modelConfig(checkpoint), checkpoint.tensors),
    origin: await originOf(id),
    created,
    license,
    terms: await readFile(join(checkpointDir(id), licenseFile)),
  };
}

const asChunks = (files: Weights["files"]): Map<string, Chunks> =>
  new Map([...files].map(([name, bytes]) => [name, [bytes]]));

async function recipesOf(student: Student, base: string, from: string, part: Weights["part"]): Promise<SlotRecipe[]> {
  const origin = { source: `training/, from ${from}`, section: student.provenance.method };
  const checkpoint = await openCheckpoint(base);
  await checkpoint.close();
  const provenance = { ...student.provenance, checkpoint: checkpoint.digest };
  return Object.entries(student.plans).map(([id, { title, slots }]) => ({
    id,
    base,
    title,
    origin,
    // Until scores are recorded, which say otherwise.
    status: "research",
    ...part,
    provenance,
    slots,
  }));
}

/** The file as it is, in parts, as a base has them. */
async function layersOf(folder: string, student: Student, base: Base, place: string): Promise<Weights> {
  const { model, origin, created, license, terms } = base;
  const name = join(folder, LAYERS_FILE);
  const bytes = await readFile(name);
  const baseLayers = student.layers === "some" ? model.config.layers : undefined;
  const set = layersIn(name, bytes, student.id, model, baseLayers);
  const parts: [string, Uint8Array][] = [];
  for (let start = 0; start < bytes.length; start += PART_BYTES) {
    parts.push([`${LAYERS_FILE}-part-${parts.length}`, bytes.subarray(start, start + PART_BYTES)]);
  }
  const manifest = {
    id: student.id,
    base: model.id,
    ...(baseLayers ? { baseLayers } : {}),
    file: LAYERS_FILE,
    bytes: bytes.length,
    sha256: sha256(bytes),
    created,
    origin: `layers distilled from ${origin}`,
    license,
    licenseFile: "LICENSE",
    parts: parts.map(([file, part]) => ({ file, bytes: part.length, sha256: sha256(part) })),
  };
  return {
    files: new Map([
      ["manifest.json", Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)],
      ["LICENSE", terms],
      ...parts,
    ]),
    part: { layers: place },
    check: (recipe) => checkPlan(recipe, set),
  };
}

/** PEFT's two files as they are, but for what the configuration calls the base, which may be a path. */
async function adapterOf(folder: string, student: Student, base: Base, place: string): Promise<Weights> {
  const { model, origin, terms } = base;
  const [configFile, weightsFile] = ADAPTER_FILES;
  const config = await readPeftConfig(folder);
  const read = (name: string): Promise<Uint8Array> =>
    readFile(join(folder, name)).catch(() => {
      throw new UserError(`${join(folder, name)} is missing, and so is ${LAYERS_FILE}`);
    });
  const bytes = await read(weightsFile);
  if (Object.keys(student.plans).length > 1) {
    throw new UserError(`${join(folder, STUDENT_FILE)}: an adapter has one plan`);
  }
  if (Object.keys({ ...config.rank_pattern, ...config.alpha_pattern }).length > 0) {
    throw new UserError(`${join(folder, configFile)}: rank_pattern and alpha_pattern are not shipped; use one rank`);
  }
  const said = (await readParsed(join(folder, configFile), JSON.parse, "JSON")) as object;
  const named = { ...said, base_model_name_or_path: origin };
  return {
    files: new Map([
      [configFile, Buffer.from(`${JSON.stringify(named, null, 2)}\n`)],
      [weightsFile, bytes],
      ["LICENSE", terms],
    ]),
    part: { adapter: { file: `${place}/${weightsFile}`, numbering: "layers" } },
    check(recipe) {
      const source: AdapterSource = {
        file: weightsFile,
        bytes,
        scaleOf: ({ number, linear, a }) =>
          scaleOf(
            config,
            { number, linear, rank: a.shape[0] ?? 0 },
            (problem) => new Error(`${weightsFile}: ${problem}`),
          ),
      };
      const { adapter, image } = packAdapter(source, recipe, model);
      compilePlan(recipe, model, { ...adapter, parts: [{ file: "", sha256: "", bytes: image.length }] });
    },
  };
}

/** @throws UserError that names the file and the tensor at fault */
function layersIn(
  file: string,
  bytes: Uint8Array,
  id: string,
  { config, tensors }: BaseModel,
  baseLayers: number | undefined,
): BaseModel {
  try {
    const layers = readLayers(bytes, baseLayers);
    const own = withoutWeights(id, { ...config, layers: layers.count }, layers.tensors);
    return { ...own, tensors: [...tensors.filter(({ name }) => staysWith(layers, name)), ...own.tensors] };
  } catch (error) {
    throw new UserError(`${file}: ${(error as Error).message}`);
  }
}

function checkPlan(recipe: SlotRecipe, base: BaseModel): void {
  const plan = compilePlan(recipe, base);
  const shapes = shapesOf(base.config);
  for (const [index, slot] of plan.slots.entries()) {
    const problem = slotProblem(slot, shapes);
    if (problem) throw new Error(`${recipe.id}: slot ${index} has ${problem}`);
  }
}
