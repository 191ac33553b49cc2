// The built checkpoint and the runtime, as tests and measurements in Node open them.
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Readable } from "node:stream";
import { catalogueFile, weightsDir } from "../../../build/paths.ts";
import { compileWasm } from "../../../evaluation/offline/wasm.ts";
import type { OpenFile } from "../../../src/engine/weights.ts";
import { type Catalogue, compileCatalogue } from "../../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../../src/variants/catalogue-file.ts";

export const readCatalogue = async (): Promise<Catalogue> =>
  compileCatalogue(catalogueFileSchema.parse(JSON.parse(await readFile(catalogueFile, "utf8"))));

export const openWeights: OpenFile = async ({ file }) =>
  Readable.toWeb(createReadStream(join(weightsDir, file))) as ReadableStream<Uint8Array>;

export const compileRuntime = async (): Promise<WebAssembly.Module> => {
  const file = createRequire(import.meta.url).resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm");
  return compileWasm(await readFile(file));
};
