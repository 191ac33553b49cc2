// transformers and llama.cpp as programs that are asked for likelihoods and greedy text.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { installPeers } from "../../../bench/subjects/peers.ts";
import { root } from "../../../scripts/build/paths.ts";

export interface Question {
  readonly prompts: readonly (readonly number[])[];
  /** Tokens to generate. */
  readonly count: number;
  /** For the folder's tokenizer. */
  readonly texts?: readonly string[];
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

/** A Python with torch and transformers (`FRANKEN_PYTHON`, else python3); undefined, and said so, where there is none. They take 7 GB. */
export async function findPython(): Promise<string | undefined> {
  const python = process.env.FRANKEN_PYTHON ?? "python3";
  try {
    await run(python, ["-c", "import torch, transformers"], LIMITS);
    return python;
  } catch {
    console.warn(
      `left out: transformers, which ${python} does not have: install torch==2.9.1 and transformers==5.24.0 in a virtual environment and name its Python in FRANKEN_PYTHON`,
    );
    return undefined;
  }
}

export async function askTransformers(
  python: string,
  folder: string,
  { prompts, count, texts = [] }: Question,
): Promise<{ readonly tokens: readonly (readonly number[])[]; readonly answers: readonly Answer[] }> {
  const request = JSON.stringify({ prompts, count, texts });
  const { stdout } = await run(python, [here("hf.py"), folder, request], {
    ...LIMITS,
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  return JSON.parse(stdout.trim().split("\n").at(-1) as string);
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
