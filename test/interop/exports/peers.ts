// transformers, PEFT, mergekit and llama.cpp as programs that are asked for likelihoods and greedy text.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { installPeers } from "../../../bench/subjects/peers.ts";
import { root } from "../../../build/paths.ts";

export interface Question {
  readonly prompts: readonly (readonly number[])[];
  /** Tokens to generate. */
  readonly count: number;
  /** For the folder's tokenizer. */
  readonly texts?: readonly string[];
  /** A folder that PEFT adds to the model. */
  readonly adapter?: string;
}

/** For each prompt. */
export interface Answer {
  /** Of each token but the first. */
  readonly nll: readonly number[];
  readonly greedy: readonly number[];
}

const run = promisify(execFile);
const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const LIMITS = { maxBuffer: 1 << 26 };
const OFFLINE = { ...LIMITS, env: { ...process.env, HF_HUB_OFFLINE: "1" } };

/** As pip names them; each needs those before it. torch takes 7 GB. */
const PACKAGES = { torch: "2.9.1", transformers: "5.24.0", peft: "0.21.2", mergekit: "0.1.5" } as const;

export interface PythonPeers {
  readonly python: string;
  has(name: keyof typeof PACKAGES): boolean;
}

/** What the Python (`FRANKEN_PYTHON`, else python3) has; what it has not, is said. */
export async function findPython(): Promise<PythonPeers> {
  const python = process.env.FRANKEN_PYTHON ?? "python3";
  const names = Object.keys(PACKAGES) as (keyof typeof PACKAGES)[];
  const probe = `import importlib.util as i; print(*(n for n in "${names.join(" ")}".split() if i.find_spec(n)))`;
  const { stdout } = await run(python, ["-c", probe], LIMITS).catch(() => ({ stdout: "" }));
  const there = new Set(stdout.trim().split(" "));
  const missing = names.findIndex((name) => !there.has(name));
  if (missing >= 0) {
    const install = names.slice(missing).map((name) => `${name}==${PACKAGES[name]}`);
    console.warn(
      `left out: ${names.slice(missing).join(", ")}, which ${python} does not have all of: install ${install.join(" ")} in a virtual environment and name its Python in FRANKEN_PYTHON`,
    );
  }
  return { python, has: (name) => missing < 0 || names.indexOf(name) < missing };
}

export async function askTransformers(
  python: string,
  folder: string,
  { prompts, count, texts = [], adapter }: Question,
): Promise<{ readonly tokens: readonly (readonly number[])[]; readonly answers: readonly Answer[] }> {
  const request = JSON.stringify({ prompts, count, texts, adapter });
  const { stdout } = await run(python, [here("hf.py"), folder, request], OFFLINE);
  return JSON.parse(stdout.trim().split("\n").at(-1) as string);
}

/** Runs a mergekit configuration as `mergekit-yaml` does. */
export async function runMergekit(python: string, config: string, out: string): Promise<void> {
  await run(python, ["-m", "mergekit.scripts.run_yaml", config, out, "--no-write-model-card"], OFFLINE);
}

/** The entry of node-llama-cpp as bench/peers has it; undefined, and said so, where it cannot be installed. */
export function findLlama(): string | undefined {
  try {
    installPeers();
    return join(root, "bench/peers/node_modules/node-llama-cpp/dist/index.js");
  } catch (error) {
    console.warn(`left out: llama.cpp, which cannot be installed here: ${(error as Error).message}`);
    return undefined;
  }
}

export async function askLlama(entry: string, file: string, question: Question): Promise<readonly Answer[]> {
  const request = JSON.stringify({ package: entry, ...question });
  const { stdout } = await run(process.execPath, [here("llama.mjs"), file, request], LIMITS);
  return JSON.parse(stdout.trim().split("\n").at(-1) as string);
}

/** The ids of texts; a special token that one spells becomes that token. */
export async function askLlamaTokens(
  entry: string,
  file: string,
  texts: readonly string[],
): Promise<readonly (readonly number[])[]> {
  const request = JSON.stringify({ package: entry, texts });
  const { stdout } = await run(process.execPath, [here("llama-tokens.mjs"), file, request], LIMITS);
  return JSON.parse(stdout.trim().split("\n").at(-1) as string);
}
