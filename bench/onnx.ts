// Measures the onnxruntime-web engine in Node, one thread: `node --import tsx bench/onnx.ts [int8|fp32]`.
import { createOnnxEngine } from "../src/engine/onnx/index.ts";
import type { Plan } from "../src/variants/plan.ts";
import { compileRuntime, openWeights, readCatalogue } from "../test/engine/onnx/checkpoint.ts";

const mode = process.argv[2] === "fp32" ? "fp32" : "int8";
const plan = (await readCatalogue()).get("smollm2-135m")?.plan as Plan;
const now = () => performance.now();
const module = await compileRuntime();

const loading = now();
const engine = await createOnnxEngine({ base: plan.base, open: openWeights, mode, module });
const loadMs = now() - loading;

const noPace = () => undefined;
const prompt = (tokens: number) => Array.from({ length: tokens }, (_, i) => (i * 7919 + 504) % plan.base.config.vocab);

async function prefill(tokens: readonly number[]) {
  const sequence = await engine.open(plan, tokens.length + 256);
  let logits = new Float32Array(0);
  for (let at = 0; at < tokens.length; at += engine.maxChunk) {
    const end = Math.min(at + engine.maxChunk, tokens.length);
    const wanted = end === tokens.length ? "last" : "none";
    [logits = logits] = (await engine.step([{ sequence, tokens: tokens.slice(at, end), logits: wanted }], noPace)) as [
      Float32Array<ArrayBuffer>,
    ];
  }
  return { sequence, next: logits.indexOf(logits.reduce((a, b) => Math.max(a, b))) };
}

async function decodeRate(contextTokens: number, tokens: number): Promise<number> {
  const { sequence, next } = await prefill(prompt(contextTokens));
  const started = now();
  for (let i = 0; i < tokens; i++) await engine.step([{ sequence, tokens: [next], logits: "last" }], noPace);
  sequence.close();
  return (tokens / (now() - started)) * 1000;
}

async function prefillMs(tokens: number): Promise<number> {
  const started = now();
  (await prefill(prompt(tokens))).sequence.close();
  return now() - started;
}

const firstMs = await prefillMs(32);
await decodeRate(32, 16);
const report = {
  mode,
  loadMs: Math.round(loadMs),
  residentMiB: Math.round(engine.residentBytes() / 2 ** 20),
  firstTokenOf32ColdMs: Math.round(firstMs),
  firstTokenOf32Ms: Math.round(await prefillMs(32)),
  decodeTokensPerSecond: (await decodeRate(32, 64)).toFixed(1),
  decodeTokensPerSecondAfter1024: (await decodeRate(1024, 32)).toFixed(1),
  prefill256TokensPerSecond: (256_000 / (await prefillMs(256))).toFixed(1),
  maxRssMiB: Math.round(process.resourceUsage().maxRSS / 1024),
};
console.log(JSON.stringify(report, null, 2));
