// Measures the wasm engine in Node, one thread, beside what the machine could do at most:
// `taskset -c 1 node --experimental-wasm-relaxed-simd --import tsx bench/wasm.ts [rounds] [cpu]`. Each figure: median (least … most).
// With `cpu`, seconds are those of the processor and not of the clock, for a machine that others use at the same time.

import type { Sequence } from "../src/engine/types.ts";
import { createWasmEngine } from "../src/engine/wasm/index.ts";
import type { Plan } from "../src/variants/plan.ts";
import { openBuilt, readCatalogue, readModules } from "../test/engine/wasm/built.ts";
import { measurePeaks } from "./roofline.ts";

const rounds = Number(process.argv[2] ?? 5);
const catalogue = await readCatalogue();
const planOf = (id: string): Plan => {
  const plan = catalogue.get(id)?.plan;
  if (!plan) throw new Error(`no variant ${id}`);
  return plan;
};
const basePlan = planOf("smollm2-135m");
const modules = await readModules();
const now =
  process.argv[3] === "cpu"
    ? () => (process.cpuUsage().user + process.cpuUsage().system) / 1000
    : () => performance.now();
const noPace = () => undefined;

const coldStart = now();
const engine = await createWasmEngine({ base: basePlan.base, open: openBuilt, modules, ceilingBytes: 256 * 2 ** 20 });
const loadMs = now() - coldStart;
const weightsMiB = engine.residentBytes() / 2 ** 20;

const prompt = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => (i * 7919 + 504) % basePlan.base.config.vocab);

async function prefill(sequence: Sequence, tokens: readonly number[]): Promise<void> {
  for (let at = 0; at < tokens.length; at += engine.maxChunk) {
    const logits = at + engine.maxChunk >= tokens.length ? "last" : "none";
    await engine.step([{ sequence, tokens: tokens.slice(at, at + engine.maxChunk), logits }], noPace);
  }
}

/** Tokens a second of `plans.length` sequences that decode together after a prompt. */
async function decode(plans: readonly Plan[], promptTokens: number, tokens: number): Promise<number> {
  const sequences: Sequence[] = [];
  for (const plan of plans) {
    const sequence = await engine.open(plan, promptTokens + tokens);
    await prefill(sequence, prompt(promptTokens));
    sequences.push(sequence);
  }
  const started = now();
  for (let i = 0; i < tokens; i++) {
    const batch = sequences.map((sequence, n) => ({ sequence, tokens: [1000 + 37 * i + n], logits: "last" as const }));
    await engine.step(batch, noPace);
  }
  const rate = (plans.length * tokens * 1000) / (now() - started);
  for (const sequence of sequences) sequence.close();
  return rate;
}

async function prefillRate(tokens: number): Promise<number> {
  const sequence = await engine.open(basePlan, tokens);
  const started = now();
  await prefill(sequence, prompt(tokens));
  const rate = (tokens * 1000) / (now() - started);
  sequence.close();
  return rate;
}

async function show(name: string, unit: string, measure: () => number | Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < rounds; i++) values.push(await measure());
  values.sort((a, b) => a - b);
  const text = (value: number | undefined) => (value ?? 0).toFixed(1);
  const median = values[Math.floor(values.length / 2)] ?? 0;
  console.log(`${name.padEnd(44)} ${text(median)} (${text(values[0])} … ${text(values.at(-1))}) ${unit}`);
  return median;
}

await prefillRate(32);
console.log(
  `${engine.build} kernels; load ${loadMs.toFixed(0)} ms; construct to first token ${(now() - coldStart).toFixed(0)} ms`,
);
console.log(`resident: ${weightsMiB.toFixed(1)} MiB after load`);
await prefillRate(128);
await decode([basePlan], 8, 32);

const attnDrop = planOf("smollm2-135m-attn-drop-15");
const blockDrop = planOf("smollm2-135m-block-drop-6");
const peaks = await measurePeaks(now);
await show("memory bandwidth", "GB/s", peaks.bandwidth);
await show("int8 dot peak", "GFLOP/s", peaks.dots);
const one = await show("decode 64 after 32", "tokens/s", () => decode([basePlan], 32, 64));
const four = await show("decode 64 after 32, four sequences", "tokens/s", () =>
  decode(Array(4).fill(basePlan), 32, 64),
);
const drop6 = await show("decode 64 after 32, block-drop-6", "tokens/s", () => decode([blockDrop], 32, 64));
await show("prefill 512", "tokens/s", () => prefillRate(512));
const at1024 = await show("decode 32 after 1,024", "tokens/s", () => decode([basePlan], 1024, 32));
const drop1024 = await show("decode 32 after 1,024, attn-drop-15", "tokens/s", () => decode([attnDrop], 1024, 32));
const at4096 = await show("decode 16 after 4,096", "tokens/s", () => decode([basePlan], 4096, 16));
const drop4096 = await show("decode 16 after 4,096, attn-drop-15", "tokens/s", () => decode([attnDrop], 4096, 16));
const ratio = (name: string, value: number) => console.log(`${name.padEnd(44)} ${value.toFixed(2)} x`);
ratio("four sequences over one", four / one);
ratio("block-drop-6 over base", drop6 / one);
ratio("attn-drop-15 over base after 1,024", drop1024 / at1024);
ratio("attn-drop-15 over base after 4,096", drop4096 / at4096);
