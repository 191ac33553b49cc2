// What the build left under dist/, as engines and tasks need it in Node.
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Readable } from "node:stream";
import { catalogueFile, root, tokenizersFile, weightsDir } from "../../build/paths.ts";
import type { Engine, EngineName, OpenFile } from "../../src/engine/index.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import { createTokenizer, type TokenizerJson } from "../../src/tokenizer/index.ts";
import type { BaseModel, CatalogueFile, Plan } from "../../src/variants/index.ts";
import { type Catalogue, checkpointOf, compileCatalogue } from "../../src/variants/index.ts";
import type { TaskTools } from "../task.ts";
import { createTaskTools } from "../tools.ts";
import { compileWasm, readKernels } from "./wasm.ts";

/** Room for long windows under plans with many slots: this is no isolate of 128 MB. */
const CEILING_BYTES = 512 * 2 ** 20;

const readJson = async (file: string): Promise<unknown> => JSON.parse(await readFile(file, "utf8"));

export const readCatalogue = async (): Promise<Catalogue> =>
  compileCatalogue((await readJson(catalogueFile)) as CatalogueFile);

/** The base as it is of a variant: the first that is listed of its checkpoint. */
export function referenceOf(catalogue: Catalogue, { base }: Plan): Plan {
  const plans = [...catalogue.values()].map(({ plan }) => plan);
  return plans.find((plan) => checkpointOf(plan.base) === checkpointOf(base)) as Plan;
}

export async function readTools(base: BaseModel): Promise<TaskTools> {
  const tokenizers = (await readJson(tokenizersFile)) as Record<string, TokenizerJson>;
  return createTaskTools(createTokenizer(tokenizers[checkpointOf(base)] as TokenizerJson), base.config);
}

const opener =
  (folder: string): OpenFile =>
  async ({ file }) =>
    Readable.toWeb(createReadStream(join(folder, file))) as ReadableStream<Uint8Array>;

const ENGINES: Record<EngineName, (base: BaseModel, open: OpenFile) => Promise<Engine>> = {
  async wasm(base, open) {
    return createWasmEngine({ base, open, modules: await readKernels(), ceilingBytes: CEILING_BYTES });
  },
  async onnx(base, open) {
    const { createOnnxEngine } = await import("../../src/engine/onnx/index.ts");
    const file = createRequire(join(root, "package.json")).resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm");
    return createOnnxEngine({ base, open, mode: "fp32", module: await compileWasm(await readFile(file)) });
  },
};

/** @param folder of the base's parts, default what the build left */
export const loadEngine = (name: EngineName, base: BaseModel, folder = weightsDir): Promise<Engine> =>
  ENGINES[name](base, opener(folder));
