// Makes everything under dist/ from the sources, and only what is stale. `npm run build`, `npm start` and `npm test` come through here.
// What a step needs is imported when it runs: compilers take seconds to load, and most of the time nothing is stale.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { packViewer, viewerFiles } from "../build/docs.ts";
import {
  artifactsDir,
  catalogueFile,
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
import { digestOf, refresh, type Step } from "../build/steps.ts";
import { bundleWorker, workersFor } from "../build/workers.ts";

/** The code that lays out weights: what other code packed is packed again. */
const PACKING = ["build", "formats", "package-lock.json"];

const STEPS: readonly Step[] = [
  {
    name: "weights",
    inputs: [
      ...[
        "models",
        ...["recipes", "adapters", "models"].map((name) => join(artifactsDir(), name)),
        "src/variants",
        "src/engine/grammar/vocabulary.ts",
        ...["src/tokenizer/alphabet.ts", "src/tokenizer/pieces.ts"],
        ...["src/engine/rope.ts", "src/engine/weights.ts"],
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
    inputs: ["data", "scores", ownScoresDir(), "src/monitor", "evaluation", "build/paths.ts", "package-lock.json"],
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
    inputs: ["build/docs.ts", "package-lock.json"],
    outputs: viewerFiles,
    async run() {
      return `Swagger UI ${await packViewer()}`;
    },
  },
  {
    name: "kernels",
    inputs: ["src/engine/wasm/assembly", "build/kernels.ts", "build/asc.mjs", "package-lock.json"],
    outputs: [kernelsDir],
    async run() {
      const { buildKernels } = await import("../build/kernels.ts");
      const { relaxed, plain } = await buildKernels();
      return `${relaxed} bytes with relaxed SIMD, ${plain} without`;
    },
  },
];

/** `npm run eval`, in one file. */
const evalStep: Step = {
  name: "eval",
  inputs: ["src", "evaluation", "cli/eval", "cli/progress.ts", "build/paths.ts", "package-lock.json"],
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
};

/** One step a Worker: with another ENGINE, only its replica is bundled anew. */
const bundleSteps = (): Step[] =>
  workersFor().map((worker) => ({
    name: worker.name,
    inputs: [
      ...["src", "evaluation"],
      worker.config,
      "build/workers.ts",
      "package-lock.json",
      "dist/catalogue.json",
      "dist/tokenizers.json",
      "dist/samples.bin",
      "dist/scores.json",
    ],
    outputs: [join(workersDir, worker.name)],
    async run() {
      await bundleWorker(worker);
      return `bundled from ${worker.config}`;
    },
  }));

/** Side by side, because compiler and bundler are processes of their own; bundles hold what the steps before them make. */
async function build(): Promise<void> {
  await Promise.all([...STEPS, evalStep].map((step) => refresh(step)));
  await Promise.all(bundleSteps().map((step) => refresh(step)));
}

/** The local key, an admin's, made once; wrangler and `npm start` both read it from here. One made before there were admins becomes one. */
async function localKey(): Promise<void> {
  const file = join(root, ".dev.vars");
  const made = existsSync(file)
    ? /^API_KEYS="(sk-local-[\w-]+)"\n$/.exec(await readFile(file, "utf8"))?.[1]
    : newLocalKey();
  if (made) await writeFile(file, `API_KEYS='[{"key": "${made}", "admin": true}]'\n`, { mode: 0o600 });
}

const newLocalKey = (): string => `sk-local-${randomBytes(18).toString("base64url")}`;

try {
  await localKey();
  await build();
} catch (error) {
  process.stderr.write(`\nbuild failed: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
