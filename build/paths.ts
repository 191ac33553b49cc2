// Where things are, from the project's root. All under dist/ is built and ignored by git.
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { commandVariable } from "../src/config.ts";

const here = dirname(fileURLToPath(import.meta.url));
/** This file is in build/, or within a bundle in a folder of dist/. */
export const root = join(here, basename(dirname(here)) === "dist" ? "../.." : "..");
export const modelsDir = join(root, "models");
export const recipesDir = join(root, "src/variants/recipes");
/** What a user made or brought, ignored by git: recipes, tensors, adapters and models; another folder where FRANKEN_ARTIFACTS is set. */
export const artifactsDir = (): string => resolve(root, commandVariable("FRANKEN_ARTIFACTS") ?? "artifacts");
/** A file that a recipe names: `artifacts/…` is in the artifacts' folder, everything else counts from the project's root. */
export const recipeFile = (file: string): string =>
  file.startsWith("artifacts/") ? join(artifactsDir(), file.slice("artifacts/".length)) : join(root, file);
/** Static assets of the replica Worker: the weight image's parts. */
export const weightsDir = join(root, "dist/weights");
/** What the weights step remembers of the pieces it has packed. */
export const piecesFile = join(root, "dist/.stamps/pieces.json");
/** Tokenizers and chat templates by base model; the gateway imports it. */
export const tokenizersFile = join(root, "dist/tokenizers.json");
/** The items that the service measures by itself; the gateway imports it. */
export const samplesFile = join(root, "dist/samples.bin");
/** Recorded scores, committed. */
export const scoresDir = join(root, "scores");
/** Those of the user's own variants. */
export const ownScoresDir = (): string => join(artifactsDir(), "scores");
/** The same, packed; the gateway imports it. */
export const recordedFile = join(root, "dist/scores.json");
/** The WebAssembly kernels: relaxed.wasm and plain.wasm. */
export const kernelsDir = join(root, "dist/kernels");
/** Base models and recipes, validated; both Workers import it. */
export const catalogueFile = join(root, "dist/catalogue.json");
/** What the service serves at /docs, packed; the gateway imports it. */
export const docsDir = join(root, "dist/docs");
/** `npm run eval`, in one file. */
export const evalFile = join(root, "dist/eval/main.mjs");
/** The two Workers, bundled as they deploy. */
export const workersDir = join(root, "dist/workers");
