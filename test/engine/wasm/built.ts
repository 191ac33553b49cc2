// What the Node tests and benches of the wasm engine share: the built weights and catalogue from dist/.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { catalogueFile, weightsDir } from "../../../build/paths.ts";
import type { OpenFile } from "../../../src/engine/weights.ts";
import { type Catalogue, compileCatalogue } from "../../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../../src/variants/catalogue-file.ts";

/** Opens built files from dist/weights as a byte stream, as the Workers runtime gives them. */
export const openBuilt: OpenFile = async ({ file }) => {
  const bytes = await readFile(join(weightsDir, file));
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      controller.enqueue(new Uint8Array(bytes));
      controller.close();
    },
  });
};

export const readCatalogue = async (): Promise<Catalogue> =>
  compileCatalogue(catalogueFileSchema.parse(JSON.parse(await readFile(catalogueFile, "utf8"))));
