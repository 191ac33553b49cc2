// Child process of the WebAssembly engine in Node.
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { catalogueFile, weightsDir } from "../../build/paths.ts";
import { CEILING_BYTES, runEngine } from "../../evaluation/offline/engine-run.ts";
import { readKernels } from "../../evaluation/offline/wasm.ts";
import type { Pace } from "../../src/engine/types.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import type { BaseModel } from "../../src/variants/base.ts";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../src/variants/catalogue-file.ts";
import { answer, send } from "../answer.ts";

/** Multiply-adds between two turns of the event loop, as in the bench Worker. */
const PACE = 64e6;

try {
  const catalogue = compileCatalogue(catalogueFileSchema.parse(JSON.parse(await readFile(catalogueFile, "utf8"))));
  const modules = await readKernels();
  const create = (base: BaseModel) =>
    createWasmEngine({
      base,
      open: async ({ file }) => Readable.toWeb(createReadStream(join(weightsDir, file))) as ReadableStream<Uint8Array>,
      modules,
      ceilingBytes: CEILING_BYTES,
    });
  const engines = new Map<string, ReturnType<typeof create>>();
  const engineOf = (base: BaseModel) => {
    const engine = engines.get(base.id) ?? create(base);
    engines.set(base.id, engine);
    return engine;
  };
  const { build } = await engineOf([...catalogue.values()][0]!.plan.base);
  let done = 0;
  const pace: Pace = (multiplyAdds) => {
    done += multiplyAdds;
    if (done < PACE) return undefined;
    done = 0;
    return nextTurn();
  };
  answer(`Node ${process.versions.node}, ${build} kernels`, async ({ variant, prompts, count }) => {
    const plan = catalogue.get(variant)?.plan;
    if (!plan) throw new Error(`no variant ${variant}`);
    const engine = await engineOf(plan.base);
    const arrivals: number[][] = prompts.map(() => []);
    const started = performance.now();
    await runEngine({
      engine,
      plan,
      prompts: prompts.map((prompt) => prompt.ids),
      count,
      pace,
      onToken: (sequence) => {
        arrivals[sequence]!.push(performance.now() - started);
      },
    });
    return { arrivals };
  });
} catch (error) {
  send({ unavailable: (error as Error).message });
}
