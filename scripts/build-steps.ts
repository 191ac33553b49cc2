// The steps of the build: what each is made of, and what it writes under dist/. What a step needs
// is imported when it runs: compilers take seconds to load, and most of the time nothing is stale.
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  artifactsDir,
  catalogueFile,
  docsDir,
  evalFile,
  kernelsDir,
  ownScoresDir,
  piecesFile,
  recordedFile,
  root,
  samplesFile,
  tokenizersFile,
  weightsDir,
  workersDir,
} from "../build/paths.ts";
import { digestOf, type Step } from "../build/steps.ts";
import { bundleWorker, workersFor } from "../build/workers.ts";

/** Where things are, which every step asks. */
const PATHS = ["build/paths.ts", "src/config.ts", "src/replica-settings.ts"];
/** The code that lays out weights: what other code packed is packed again. */
const PACKING = ["build", "formats", "package-lock.json"];

export interface BuildStep extends Step {
  /** Modules that the step runs: what they import is among the inputs, which a test holds them to. */
  readonly code: readonly string[];
}

/** What the Workers are bundled with, and `npm run eval`. They need nothing of each other. */
export const STEPS: readonly BuildStep[] = [
  {
    name: "weights",
    code: ["build/catalogue.ts", "build/output.ts"],
    inputs: [
      "models",
      ...["recipes", "adapters", "models"].map((name) => join(artifactsDir(), name)),
      ...[
        "src/engine",
        "src/grammar",
        "src/tokenizer",
        "src/variants",
        "src/config.ts",
        "src/replica-settings.ts",
        "src/work.ts",
      ],
      ...PACKING,
    ],
    outputs: [catalogueFile, weightsDir, tokenizersFile, piecesFile],
    async run() {
      const { buildCatalogue, readAllRecipes } = await import("../build/catalogue.ts");
      const { openOutput } = await import("../build/output.ts");
      const output = await openOutput(weightsDir, await digestOf(PACKING));
      const { catalogue, tokenizers } = await buildCatalogue(await readAllRecipes(), output);
      await output.close();
      await writeFile(tokenizersFile, JSON.stringify(tokenizers));
      await writeFile(catalogueFile, JSON.stringify(catalogue));
      const checkpoints = catalogue.bases.filter(({ checkpoint }) => !checkpoint).map(({ id }) => id);
      const sets = catalogue.bases.length - checkpoints.length;
      return `${catalogue.recipes.length} variants of ${checkpoints.join(", ")}, ${sets} sets of changed weights`;
    },
  },
  {
    name: "scores",
    code: ["evaluation/offline/pack-samples.ts", "evaluation/offline/pack-recorded.ts"],
    inputs: [
      ...["data", "scores", ownScoresDir()],
      ...["src/monitor", "src/storage", "src/variants", "evaluation", "formats/digest.ts"],
      ...[...PATHS, "package-lock.json"],
    ],
    outputs: [samplesFile, recordedFile],
    async run() {
      const { packSamples } = await import("../evaluation/offline/pack-samples.ts");
      const { packRecorded } = await import("../evaluation/offline/pack-recorded.ts");
      const { packed, items } = await packSamples();
      const recorded = [...(await packRecorded()), ...(await packRecorded(ownScoresDir()))];
      await writeFile(samplesFile, packed);
      await writeFile(recordedFile, JSON.stringify(recorded));
      return `${recorded.length} recorded, ${items} items to measure again`;
    },
  },
  {
    name: "docs",
    code: ["build/docs/pack.ts"],
    inputs: ["README.md", "docs", "build/docs", "formats/digest.ts", ...PATHS, "package-lock.json"],
    outputs: [docsDir],
    async run() {
      const { packSite } = await import("../build/docs/pack.ts");
      return packSite(root);
    },
  },
  {
    name: "kernels",
    code: ["build/kernels.ts", "build/asc.mjs"],
    inputs: [...["src/engine/wasm/assembly", "build/kernels.ts", "build/asc.mjs", ...PATHS, "package-lock.json"]],
    outputs: [kernelsDir],
    async run() {
      const { buildKernels } = await import("../build/kernels.ts");
      const { relaxed, plain } = await buildKernels();
      return `${relaxed} bytes with relaxed SIMD, ${plain} without`;
    },
  },
  {
    name: "eval",
    code: ["cli/eval/main.ts"],
    inputs: ["src", "evaluation", "cli/eval", "cli/progress.ts", "formats/digest.ts", ...PATHS, "package-lock.json"],
    outputs: [evalFile],
    async run() {
      const { build: bundle } = await import("esbuild");
      await bundle({
        entryPoints: [join(root, "cli/eval/main.ts")],
        outfile: evalFile,
        bundle: true,
        platform: "node",
        format: "esm",
        target: "node20",
        // Only `--engine onnx` needs it, and finds its WebAssembly beside it.
        external: ["onnxruntime-web"],
        logLevel: "error",
      });
      return `${(await stat(evalFile)).size} bytes`;
    },
  },
];

/** One step a Worker: with another ENGINE, only its replica is bundled anew. */
export const bundleSteps = (): BuildStep[] =>
  workersFor().map((worker) => ({
    name: worker.name,
    code: [worker.entry],
    inputs: [
      ...["src", "evaluation"],
      worker.config,
      "build/workers.ts",
      ...["package.json", "package-lock.json"],
      "dist/catalogue.json",
      "dist/tokenizers.json",
      "dist/samples.bin",
      "dist/scores.json",
      "dist/docs",
    ],
    outputs: [join(workersDir, worker.name)],
    async run() {
      await bundleWorker(worker);
      return `bundled from ${worker.config}`;
    },
  }));
