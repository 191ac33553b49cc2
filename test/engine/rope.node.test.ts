// Stretched RoPE as transformers computes it: a checkpoint as Hugging Face has it is imported, built, and run by all that run models.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readCheckpoint } from "../../build/checkpoint.ts";
import { buildBase } from "../../build/weight-set.ts";
import { huggingFaceOutput } from "../../compress/export/hf.ts";
import { exportVariant } from "../../compress/export/index.ts";
import { createForward } from "../../compress/forward/forward.ts";
import { openModel } from "../../compress/forward/model.ts";
import { allSlots, runSlots } from "../../compress/forward/perplexity.ts";
import { importSource } from "../../compress/import/index.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import { readKernels } from "../../evaluation/offline/wasm.ts";
import type { ModelShape } from "../../formats/checkpoint.ts";
import { createOnnxEngine } from "../../src/engine/onnx/index.ts";
import type { Engine } from "../../src/engine/types.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import type { OpenFile } from "../../src/engine/weights.ts";
import type { BaseModel, RopeScaling } from "../../src/variants/base.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import { memoryOutput } from "../build/memory.ts";
import { randomNumbers } from "../compress/random.ts";
import { recipeOf } from "../compress/recipe.ts";
import { tinyCheckpoint } from "../compress/tiny.ts";
import vectors from "../fixtures/rope/vectors.json";
import { compileRuntime } from "./onnx/checkpoint.ts";

const { shape: sizes, tokens, positions, scalings } = vectors;
const SCALINGS = {
  linear: { type: "linear", factor: 4 },
  llama3: { type: "llama3", factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 64 },
} satisfies Record<string, RopeScaling>;
type Name = keyof typeof SCALINGS;
const NAMES = Object.keys(SCALINGS) as Name[];
const shape: ModelShape = {
  hidden: sizes.hidden,
  headDim: sizes.head_dim,
  vocab: sizes.vocab,
  contextLength: 131_072,
  ropeTheta: 500_000,
  ropeScaling: undefined,
  rmsEps: 1e-5,
  layers: new Array(sizes.layers).fill({ heads: sizes.heads, kvHeads: sizes.kv_heads, ffn: sizes.ffn }),
};

/** The weights that make.py says. */
function weights(): (name: string, count: number) => Float32Array {
  let seed = 0;
  return (name, count) => {
    if (name.endsWith("norm.weight")) return new Float32Array(count).fill(1);
    const next = randomNumbers(++seed);
    const unit = /attn_[qk]/.test(name) ? 1 / 16 : 1 / 64;
    return Float32Array.from({ length: count }, (_, i) => {
      const code = Math.floor(8 * next());
      return unit * (i % 32 === 0 ? -8 : i % 32 === 1 ? 7 : code);
    });
  };
}

let folder: string;
const bases = new Map<Name, { base: BaseModel; open: OpenFile }>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-rope-"));
  vi.stubEnv("FRANKEN_ARTIFACTS", join(folder, "artifacts"));
  const metadata = { ...(await readCheckpoint("smollm2-135m-instruct")).metadata };
  const checkpoint = { ...tinyCheckpoint({ shape, fill: weights() }), tokenizer: { kind: "gguf", metadata } as const };
  const stack = await stackOf(recipeOf(shape.layers.map((_, layer) => ({ layer }))), checkpoint);
  const hf = join(folder, "hf");
  await putOutput(hf, huggingFaceOutput(stack, "f32"));
  const config = JSON.parse(await readFile(join(hf, "config.json"), "utf8"));
  for (const name of NAMES) {
    const rope_parameters = { rope_theta: 500_000, ...scalings[name].config };
    const written = { ...config, rope_theta: undefined, rope_scaling: undefined, rope_parameters };
    await writeFile(join(hf, "config.json"), JSON.stringify(written));
    await importSource(hf, { id: name });
    const output = memoryOutput();
    const { base } = await buildBase(await readCheckpoint(name), output);
    const open: OpenFile = async ({ file }) => new Response(output.written.get(file) as BodyInit).body ?? undefined;
    bases.set(name, { base, open });
  }
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const rms = (a: readonly number[], b: readonly number[]): number =>
  Math.sqrt(a.reduce((sum, value, i) => sum + (value - (b[i] as number)) ** 2, 0) / a.length);
/** Of the positions where the scalings differ. */
const apart = (rows: readonly (readonly number[])[], name: Name | "none"): number =>
  rms(rows.slice(1).flat(), scalings[name].logits.slice(1).flat());

/** Logits of the tokens that the vectors tell, at their positions. */
async function engineLogits(engine: Engine, { base }: { base: BaseModel }): Promise<number[][]> {
  const plan = compilePlan(
    recipeOf(
      shape.layers.map((_, layer) => ({ layer })),
      { base: base.id },
    ),
    base,
  );
  const sequence = await engine.open(plan, tokens.length);
  const rows: number[][] = [];
  for (const position of positions) {
    while (sequence.length <= position) {
      const end = Math.min(position + 1, sequence.length + 32);
      const [logits = []] = await engine.step(
        [{ sequence, tokens: tokens.slice(sequence.length, end), logits: "last" }],
        () => undefined,
      );
      if (end === position + 1) rows.push([...logits.slice(0, scalings.none.logits[0]?.length)]);
    }
  }
  sequence.close();
  return rows;
}

/** The same of the fp32 passes of the toolkit. */
async function toolkitLogits(name: Name): Promise<number[][]> {
  const checkpoint = await openCheckpoint(name);
  const model = openModel(checkpoint);
  const forward = createForward({ shape: checkpoint.shape });
  const { values: table } = await model.embedding();
  const ids = Int32Array.from(tokens);
  const x = forward.embed(await model.embedding(), { sequences: 1, length: ids.length, ids });
  const { values } = await runSlots(forward, model, allSlots(model), x);
  await forward.close();
  const { hidden } = shape;
  return positions.map((position) => {
    const row = values.subarray(position * hidden, (position + 1) * hidden);
    const size = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / hidden + shape.rmsEps);
    return (scalings[name].logits[0] ?? []).map(
      (_, token) => row.reduce((sum, value, i) => sum + value * (table[token * hidden + i] as number), 0) / size,
    );
  });
}

describe.each(NAMES)("a checkpoint with RoPE scaling: %s", (name) => {
  it("is run as transformers runs it by the fp32 engine and by the toolkit", async () => {
    const { base, open } = bases.get(name)!;
    const engine = await createOnnxEngine({ base, open, mode: "fp32", module: await compileRuntime() });
    for (const rows of [await engineLogits(engine, { base }), await toolkitLogits(name)]) {
      expect(rows).toHaveLength(positions.length);
      for (const [i, row] of rows.entries()) expect(rms(row, scalings[name].logits[i]!)).toBeLessThan(2e-5);
    }
  });

  it("is run by the fast engine as nearly as 8 bits allow, and far from any other scaling", async () => {
    const { base, open } = bases.get(name)!;
    const rows = await engineLogits(await createWasmEngine({ base, open, modules: await readKernels() }), { base });
    const own = apart(rows, name);
    expect(own).toBeLessThan(0.1);
    for (const other of [...NAMES, "none"] as const)
      if (other !== name) expect(apart(rows, other)).toBeGreaterThan(4 * own);
  });

  it("keeps its scaling in the base and in what is exported of it", async () => {
    const { base } = bases.get(name)!;
    expect(base.config.contextLength).toBe(131_072);
    expect(base.config.ropeScaling).toEqual(SCALINGS[name]);
    const out = join(folder, `${name}.gguf`);
    await putOutput(out, await exportVariant(name, "gguf"));
    const exported = await openCheckpoint(out);
    expect(exported.shape.ropeScaling).toEqual(SCALINGS[name]);
    await exported.close();
  });
});
