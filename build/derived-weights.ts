// Weight sets that recipes make of a checkpoint by changing some of its tensors.
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "../formats/digest.ts";
import { notFinite } from "../formats/gguf/finite.ts";
import { BLOCKS } from "../formats/gguf/header.ts";
import type { BaseModel, ModelConfig, SlotRecipe, StoredTensor } from "../src/variants/index.ts";
import { checkpointOf, PlanError, parseTensorName, typesOf } from "../src/variants/index.ts";
import { artifactsDir } from "./paths.ts";
import { buildPieces, joinPieces, type Output, pieceOf, type SourceTensor, weightsDigest } from "./weight-image.ts";
import type { BuiltBase } from "./weight-set.ts";

/** Digits of the digest in a weight set's id. */
const ID_DIGITS = 12;

/**
 * The checkpoint's weights with the recipe's tensors in their place. Layers that it leaves alone keep the checkpoint's files.
 * @returns the checkpoint's own weights when the recipe changes no byte
 * @throws PlanError naming recipe and tensor when that is none that the engines read, of another type or shape than it says, missing or
 *   damaged
 */
export async function deriveBase(recipe: SlotRecipe, built: BuiltBase, output: Output): Promise<BaseModel> {
  const { base, sources, pieces } = built;
  const changed = new Map<string, SourceTensor>();
  for (const [name, stored] of Object.entries(recipe.tensors ?? {})) {
    changed.set(name, await findTensor(recipe.id, name, stored, base.config));
  }
  const stale = new Set([...changed.keys()].map(pieceOf));
  const known = new Set(sources.map(({ name }) => name));
  const added = [...changed.values()].filter(({ name }) => !known.has(name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const tensors = [...sources.map((source) => changed.get(source.name) ?? source), ...added];
  const rebuilt = await buildPieces(
    tensors.filter(({ name }) => stale.has(pieceOf(name))),
    output,
  );
  const image = joinPieces(new Map([...pieces, ...rebuilt]).values());
  const digest = weightsDigest(base.config, image.tensors);
  if (digest === base.digest) return base;
  return { ...base, id: `${base.id}+${digest.slice(0, ID_DIGITS)}`, checkpoint: checkpointOf(base), digest, ...image };
}

async function findTensor(
  id: string,
  name: string,
  { sha256: digest, type, rows, cols }: StoredTensor,
  { layers }: ModelConfig,
): Promise<SourceTensor> {
  const fail = (problem: string): PlanError => new PlanError(`${id}: tensor ${name} ${problem}`);
  const parsed = parseTensorName(name);
  if (!parsed) throw fail("is none that the engines compute with");
  if (parsed.layer !== undefined && parsed.layer >= layers) {
    throw fail(`is of a layer that the base does not have: its layers are 0 to ${layers - 1}`);
  }
  const types = typesOf(name);
  if (!types.includes(type)) throw fail(`is ${type}, it must be ${types.join(" or ")}`);
  const block = BLOCKS[type];
  if (cols % block.values > 0) throw fail(`has ${cols} columns; those of ${type} are in blocks of ${block.values}`);
  const file = join(artifactsDir(), "tensors", `${digest}.bin`);
  const bytes = (rows * cols * block.bytes) / block.values;
  const there = await stat(file).catch(() => undefined);
  if (!there) throw fail(`is missing: there is no ${file}`);
  if (there.size !== bytes) {
    throw fail(`has ${there.size} bytes in ${file}, but as ${type} [${rows}, ${cols}] it has ${bytes}`);
  }
  return {
    name,
    type,
    rows,
    cols,
    identity: digest,
    async read() {
      const data = await readFile(file);
      if (sha256(data) !== digest) throw fail(`is damaged: ${file} does not have the sha256 that its name says`);
      const problem = notFinite({ type, cols }, data);
      if (problem) throw fail(problem);
      return data;
    },
  };
}
