// One engine on the weights that ship, for all files of the project `model`, which share a process.
import { readKernels } from "../../../evaluation/offline/wasm.ts";
import { createWasmEngine, type WasmEngine } from "../../../src/engine/wasm/index.ts";
import type { Catalogue } from "../../../src/variants/catalogue.ts";
import { openBuilt, readCatalogue } from "./built.ts";
import { openFrom } from "./tiny.ts";

export interface SharedEngine {
  readonly catalogue: Catalogue;
  readonly engine: WasmEngine;
  /** What the engine finds beside the weights, by file: adapters that a test makes up. */
  readonly files: Map<string, Uint8Array>;
}

let loaded: Promise<SharedEngine> | undefined;

export function sharedEngine(): Promise<SharedEngine> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<SharedEngine> {
  const catalogue = await readCatalogue();
  const { base } = catalogue.get("smollm2-135m")!.plan;
  const files = new Map<string, Uint8Array>();
  const openMadeUp = openFrom(files);
  const engine = await createWasmEngine({
    base,
    open: async (file) => (await openMadeUp(file)) ?? openBuilt(file),
    modules: await readKernels(),
  });
  return { catalogue, engine, files };
}
