// Makes everything under dist/ from the sources, and only what is stale. `npm run build`, `npm start` and `npm test` come through here.
// What a step needs is imported when it runs: compilers take seconds to load, and most of the time nothing is stale.
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { packViewer, viewerFiles } from "./build/docs.ts";
import {
  artifactsDir,
  catalogueFile,
  evalFile,
  kernelsDir,
  ownScoresDir,
  recordedFile,
  root,
  samplesFile,
  tokenizersFile,
  weightsDir,
  workersDir,
} from "./build/paths.ts";
import { bundleWorker, workersFor } from "./build/workers.ts";

interface Step {
  readonly name: string;
  /** Files and folders whose content decides whether the step is stale. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  run(): Promise<string>;
}

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
      ],
      ...["scripts/build", "package-lock.json"],
    ],
    outputs: [catalogueFile, weightsDir, tokenizersFile],
    async run() {
      const { buildCatalogue, readAllRecipes } = await import("./build/catalogue.ts");
      const { openOutput } = await import("./build/output.ts");
      const output = await openOutput(weightsDir, await digestOf(["scripts/build", "package-lock.json"]));
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
    inputs: ["data", "scores", ownScoresDir(), "src/scores", "scripts/build", "scripts/eval", "package-lock.json"],
    outputs: [samplesFile, recordedFile],
    async run() {
      const { packSamples } = await import("./build/samples.ts");
      const { packRecorded } = await import("./build/recorded.ts");
      const { packed, items } = await packSamples();
      const recorded = [...(await packRecorded()), ...(await packRecorded(ownScoresDir()))];
      await writeFile(samplesFile, packed);
      await writeFile(recordedFile, JSON.stringify(recorded));
      return `${recorded.length} recorded, ${items} items to measure again`;
    },
  },
  {
    name: "docs",
    inputs: ["scripts/build/docs.ts", "package-lock.json"],
    outputs: viewerFiles,
    async run() {
      return `Swagger UI ${await packViewer()}`;
    },
  },
  {
    name: "kernels",
    inputs: ["src/engine/wasm/assembly", "scripts/build/kernels.ts", "scripts/build/asc.mjs", "package-lock.json"],
    outputs: [kernelsDir],
    async run() {
      const { buildKernels } = await import("./build/kernels.ts");
      const { relaxed, plain } = await buildKernels();
      return `${relaxed} bytes with relaxed SIMD, ${plain} without`;
    },
  },
];

/** `npm run eval`, in one file. */
const evalStep: Step = {
  name: "eval",
  inputs: ["src", "scripts/eval", "scripts/build/paths.ts", "package-lock.json"],
  outputs: [evalFile],
  async run() {
    const { build: bundle } = await import("esbuild");
    await bundle({
      entryPoints: [join(root, "scripts/eval/main.ts")],
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
      "src",
      worker.config,
      "scripts/build/workers.ts",
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

const sha256 = (content: Uint8Array | string): string => createHash("sha256").update(content).digest("hex");

/** Digest over names and contents below the inputs; of files over 1 MiB, size and time of change stand for the content. */
async function digestOf(inputs: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const walk = async (path: string): Promise<void> => {
    const info = await stat(path);
    if (info.isDirectory()) {
      for (const name of (await readdir(path)).sort()) await walk(join(path, name));
    } else {
      const content = info.size > 1 << 20 ? `${info.size} ${info.mtimeMs}` : sha256(await readFile(path));
      lines.push(`${relative(root, path)} ${content}`);
    }
  };
  for (const input of inputs) if (existsSync(resolve(root, input))) await walk(resolve(root, input));
  return sha256(lines.join("\n"));
}

/** Runs a step unless what it made is still fresh. */
async function refresh(step: Step): Promise<void> {
  const stamp = join(root, "dist/.stamps", step.name);
  const digest = await digestOf(step.inputs);
  const fresh = step.outputs.every((path) => existsSync(path));
  if (fresh && (await readFile(stamp, "utf8").catch(() => "")) === digest) return;
  const started = performance.now();
  process.stderr.write(`building ${step.name} …\n`);
  await mkdir(dirname(stamp), { recursive: true });
  const result = await step.run();
  await writeFile(stamp, digest);
  process.stderr.write(`built ${step.name}: ${result} (${((performance.now() - started) / 1000).toFixed(1)} s)\n`);
}

/** Side by side, because compiler and bundler are processes of their own; bundles hold what the steps before them make. */
async function build(): Promise<void> {
  await Promise.all([...STEPS, evalStep].map(refresh));
  await Promise.all(bundleSteps().map(refresh));
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
