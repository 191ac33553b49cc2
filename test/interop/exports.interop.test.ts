// Exports in the hands of those they are for: unmodified transformers and llama.cpp load them, and compute what our fp32 engine does.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { ChangedTensor, LowRankLinear } from "../../compress/artifact.ts";
import type { Checkpoint, Matrix } from "../../compress/checkpoint.ts";
import { dequantizeBlocks } from "../../compress/formats/dequantize.ts";
import { exportVariant } from "../../compress/formats/export/index.ts";
import { openCheckpoint } from "../../compress/formats/index.ts";
import { putOutput } from "../../compress/formats/output.ts";
import { findRecipe } from "../../compress/formats/stack.ts";
import { writeArtifact } from "../../compress/store.ts";
import type { CheckpointTensor } from "../../scripts/build/checkpoint.ts";
import type { Slot } from "../../src/variants/recipe.ts";
import { recipeOf } from "../compress/formats/recipe.ts";
import { random } from "../engine/onnx/tiny.ts";
import file from "../fixtures/reference/logit-vectors.json";
import { firstCols, firstRows } from "../support/slices.ts";
import { askOurs } from "./exports/ours.ts";
import { type Answer, askLlama, askTransformers, findLlama, findPython, type Question } from "./exports/peers.ts";

const BASE = "smollm2-135m-instruct";
const TOLERANCE = 1e-2;
const SLOTS: Slot[] = [0, 1, 2, 3, 26, 27, 28, 29].map((layer) => ({ layer, attn: true, mlp: true }));
const question: Question = { prompts: file.baseline.cases.map(({ prompt_ids }) => prompt_ids), count: 12 };
const python = await findPython();
const llama = findLlama();

let folder: string;
let base: Checkpoint;
/** What variants made here change, in fp32. */
const changes = new Map<string, Map<string, Matrix>>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-exports-"));
  vi.stubEnv("FRANKEN_ARTIFACTS", join(folder, "artifacts"));
  base = await openCheckpoint("smollm2-135m");
  await makeNarrow("uniform", () => ({ kvHeads: 2, ffn: 1024 }));
  await makeNarrow("uneven", (layer) => ({ kvHeads: (layer % 3) + 1, ffn: 1536 - 32 * layer, bias: layer % 2 === 0 }));
  await makeAdapted("adapted");
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const write = (id: string, slots: Slot[], tensors: ChangedTensor[], linears?: LowRankLinear[]) =>
  writeArtifact({
    recipe: recipeOf(slots, { id, base: BASE }),
    tensors,
    ...(linears ? { adapter: { linears } } : {}),
    provenance: { method: "slices", arguments: {}, checkpoint: base.digest, version: "1" },
  });

/** Keeps the first KV heads, with their query heads, and the first channels. */
async function makeNarrow(id: string, sizes: (layer: number) => { kvHeads: number; ffn: number; bias?: boolean }) {
  const tensors: ChangedTensor[] = [];
  for (const { layer } of SLOTS) {
    const { kvHeads, ffn, bias } = sizes(layer);
    const stored = async (name: string) => {
      const tensor = base.tensors.get(`blk.${layer}.${name}.weight`);
      return { ...tensor, data: await base.readStored(tensor?.name ?? "") } as CheckpointTensor;
    };
    tensors.push(
      firstRows(await stored("attn_q"), kvHeads * 3 * 64),
      firstRows(await stored("attn_k"), kvHeads * 64),
      firstRows(await stored("attn_v"), kvHeads * 64),
      firstCols(await stored("attn_output"), kvHeads * 3 * 64),
      firstRows(await stored("ffn_gate"), ffn),
      firstRows(await stored("ffn_up"), ffn),
      firstCols(await stored("ffn_down"), ffn),
    );
    const values = Float32Array.from({ length: 576 }, random(layer));
    const data = new Uint8Array(values.buffer);
    for (const name of bias ? ["attn_output", "ffn_down"] : []) {
      tensors.push({ name: `blk.${layer}.${name}.bias`, type: "f32", rows: 1, cols: 576, data });
    }
  }
  await write(id, SLOTS, tensors);
  const matrices = tensors.map(({ name, type, rows, cols, data }): [string, Matrix] => [
    name,
    { rows, cols, values: dequantizeBlocks(type, data) },
  ]);
  changes.set(id, new Map(matrices));
}

/** A random adapter of rank 2, and the weights with it added. */
async function makeAdapted(id: string) {
  const next = random(7);
  const merged = new Map<string, Matrix>();
  const linears: LowRankLinear[] = [];
  for (const { layer } of SLOTS.slice(2, 6)) {
    for (const [linear, tensor] of [
      ["q", "attn_q"],
      ["v", "attn_v"],
      ["down", "ffn_down"],
    ] as const) {
      const name = `blk.${layer}.${tensor}.weight`;
      const { rows, cols, values } = await base.read(name);
      const a = Float32Array.from({ length: 2 * cols }, () => 0.1 * next());
      const b = Float32Array.from({ length: rows * 2 }, () => next());
      const sum = values.map((value, i) => {
        const [row, col] = [Math.floor(i / cols), i % cols];
        return (
          value + (b[2 * row] as number) * (a[col] as number) + (b[2 * row + 1] as number) * (a[cols + col] as number)
        );
      });
      linears.push({ layer, linear, rows, cols, rank: 2, a, b });
      merged.set(name, { rows, cols, values: sum });
    }
  }
  await write(id, SLOTS, [], linears);
  changes.set(id, merged);
}

const answers = new Map<string, Promise<readonly Answer[]>>();
const ours = async (id: string): Promise<readonly Answer[]> => {
  const known = answers.get(id) ?? askOurs((await findRecipe(id)).slots, changes.get(id) ?? new Map(), question);
  answers.set(id, known);
  return known;
};

async function agree(id: string, theirs: readonly Answer[]): Promise<void> {
  const expected = await ours(id);
  expect(theirs).toHaveLength(expected.length);
  for (const [i, { nll, greedy }] of theirs.entries()) {
    const difference = nll.map((value, token) => Math.abs(value - (expected[i]?.nll[token] as number)));
    expect(difference).toHaveLength((question.prompts[i] as number[]).length - 1);
    expect(Math.max(...difference)).toBeLessThan(TOLERANCE);
    expect(greedy).toEqual(expected[i]?.greedy);
  }
}

const WHOLE = ["smollm2-135m-block-drop-4", "smollm2-135m-franken-mid-expansion-with-repeats", "uniform", "adapted"];
const DECI = ["smollm2-135m-attn-drop-10", "smollm2-135m-mlp-drop-2", "uneven"];

describe.skipIf(!python)("transformers", () => {
  it.each(WHOLE)("computes %s as our engine does", async (id) => {
    const out = join(folder, `${id}-hf`);
    await putOutput(out, await exportVariant(id, "hf"));
    const texts = ["Hello, world! 123 <|im_start|>user\nWhat's up?"];
    const { answers, tokens } = await askTransformers(python as string, out, { ...question, texts });
    await rm(out, { recursive: true });
    await agree(id, answers);
    // "Hello", ",", … and <|im_start|> as one token.
    expect(tokens[0]).toContain(1);
  });
});

describe.skipIf(!llama)("llama.cpp", () => {
  it.each([...WHOLE, ...DECI])("computes %s as our engine does", async (id) => {
    const out = join(folder, `${id}.gguf`);
    await putOutput(out, await exportVariant(id, "gguf", { type: "f32" }));
    const theirs = await askLlama(llama as string, out, question);
    await rm(out);
    await agree(id, theirs);
  });

  it("loads quantized tensors as they are stored, and stays near", async () => {
    const out = join(folder, "stored.gguf");
    await putOutput(out, await exportVariant("uneven", "gguf"));
    const theirs = await askLlama(llama as string, out, question);
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    for (const [i, { nll }] of theirs.entries()) {
      expect(Math.abs(mean(nll) - mean((await ours("uneven"))[i]?.nll ?? []))).toBeLessThan(0.2);
    }
  });
});
