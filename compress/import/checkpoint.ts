// A checkpoint as a base of this project: GGUF in parts, linears Q4_1, embedding and head Q8_0, norms fp32, each rounded to nearest.
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { checkRecipe } from "../../build/check-recipe.ts";
import { parseCheckpoint } from "../../build/checkpoint.ts";
import { PART_BYTES } from "../../build/content-store.ts";
import { modelsDir } from "../../build/paths.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { sha256 } from "../../formats/digest.ts";
import { UserError } from "../../formats/error.ts";
import { ggufTokenizer } from "../../formats/tokenizer/convert.ts";
import { buildTokenizer } from "../../formats/tokenizer/hugging-face-form.ts";
import { shapesNeeded } from "../../src/engine/wasm/index.ts";
import { checkTemplate } from "../../src/tokenizer/index.ts";
import type { SlotRecipe } from "../../src/variants/index.ts";
import { ggufOutput } from "../export/gguf.ts";
import { HUB_ID } from "../hub.ts";
import { type Chunks, putOutput } from "../output.ts";
import { stackOf } from "../stack.ts";
import { artifactsFolder } from "../store.ts";

export interface ImportedCheckpoint {
  readonly recipe: SlotRecipe;
  readonly folder: string;
}

/**
 * Writes artifacts/models/ID.
 * @throws UserError naming what the engines or the tokenizer here cannot do with it
 */
export async function importCheckpoint(
  checkpoint: Checkpoint,
  { id, force, onBytes }: { id: string; force?: boolean | undefined; onBytes?: ((bytes: number) => void) | undefined },
): Promise<ImportedCheckpoint> {
  if (existsSync(join(modelsDir, id))) {
    throw new UserError(`${id} is the name of a base that comes with the project: give another with --id`);
  }
  checkServable(checkpoint);
  // Served to clients, who need not know where on a disk it lay.
  const source = HUB_ID.test(checkpoint.name) ? checkpoint.name : basename(checkpoint.name);
  const recipe: SlotRecipe = {
    id,
    base: id,
    title: `Imported from ${source}`,
    origin: { source, section: "the whole checkpoint" },
    status: "experimental",
    slots: checkpoint.shape.layers.map((_, layer) => ({ layer, attn: true, mlp: true })),
  };
  const gguf = ggufOutput(await stackOf(recipe, checkpoint), "served");
  const chunks: Uint8Array[] = [];
  if (gguf.kind === "file") {
    for await (const chunk of gguf.chunks) {
      chunks.push(chunk);
      onBytes?.(chunk.length);
    }
  }
  const file = Buffer.concat(chunks);
  const parts: { file: string; bytes: Uint8Array }[] = [];
  for (let start = 0; start < file.length; start += PART_BYTES) {
    parts.push({ file: `${id}.gguf-part-${parts.length}`, bytes: file.subarray(start, start + PART_BYTES) });
  }
  const manifest = {
    id,
    file: `${id}.gguf`,
    bytes: file.length,
    sha256: sha256(file),
    // Of a checkpoint's release and terms a file does not tell; the same command gives the same bytes.
    created: 0,
    origin: source,
    license: "see its origin",
    licenseFile: "LICENSE",
    parts: parts.map(({ file, bytes }) => ({ file, bytes: bytes.length, sha256: sha256(bytes) })),
  };
  await checkRecipe(recipe, await parseCheckpoint({ manifest, file })).catch((error: Error) => {
    throw new UserError(`it cannot be served: ${error.message}`);
  });
  const folder = join(artifactsFolder(), "models", id);
  const files = new Map<string, Chunks>([
    ["manifest.json", [Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)]],
    ["LICENSE", [Buffer.from(`The terms of the checkpoint that this was made from: ${source}\n`)]],
    ...parts.map(({ file, bytes }): [string, Chunks] => [file, [bytes]]),
  ]);
  await putOutput(folder, { kind: "folder", files }, { force });
  return { recipe, folder };
}

function checkServable({ name, shape, tokenizer }: Checkpoint): void {
  const [first] = shape.layers;
  const odd = shape.layers.findIndex((layer) => JSON.stringify(layer) !== JSON.stringify(first));
  if (odd >= 0)
    throw new UserError(`${name}: layer ${odd} is of another shape than layer 0; a base's layers are alike`);
  const needed = first && shapesNeeded({ ...shape, ...first });
  if (needed) throw new UserError(`${name} cannot be served: the engine needs ${needed}`);
  const metadata = Object.fromEntries(
    ggufTokenizer(tokenizer, shape.vocab, name).map(([key, , value]) => [key, value]),
  );
  try {
    const { config } = buildTokenizer({ manifest: { file: name }, metadata });
    if (config.chat_template !== undefined) checkTemplate(config.chat_template);
  } catch (error) {
    throw new UserError(`it cannot be served: ${(error as Error).message}`);
  }
}
