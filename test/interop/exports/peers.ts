// transformers and llama.cpp as programs that are asked for likelihoods and greedy text.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
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
const venv = join(root, "dist/interop/transformers");
const LIMITS = { maxBuffer: 1 << 26 };

/** A Python with torch and transformers: `FRANKEN_PYTHON`, else one made here; undefined, and said so, where it cannot be. */
export async function findPython(): Promise<string | undefined> {
  if (process.env.FRANKEN_PYTHON) return process.env.FRANKEN_PYTHON;
  const python = join(venv, "bin/python");
  try {
    if (!existsSync(python)) await run("python3", ["-m", "venv", venv]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    await run(python, [...pip, "torch==2.9.1", "transformers==5.24.0"], LIMITS);
    return python;
  } catch (error) {
    console.warn(`left out: transformers, which cannot be installed here: ${(error as Error).message.slice(0, 300)}`);
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
