// Exports in the hands of those they are for: unmodified transformers, PEFT, mergekit and llama.cpp load them, and compute what our fp32
// engine does.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { huggingFaceOutput } from "../../compress/export/hf.ts";
import { exportVariant } from "../../compress/export/index.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { findRecipe, type Stack, stackOf } from "../../compress/stack.ts";
import type { RopeScaling } from "../../src/variants/base.ts";
import type { Slot } from "../../src/variants/recipe.ts";
import file from "../fixtures/reference/logit-vectors.json";
import { type Changes, makeAdapted, makeNarrow } from "./exports/made.ts";
import { askOurs } from "./exports/ours.ts";
import {
  type Answer,
  askLlama,
  askTransformers,
  findLlama,
  findPython,
  type Question,
  runMergekit,
} from "./exports/peers.ts";

const TOLERANCE = 1e-2;
const whole = (layers: readonly number[]): Slot[] => layers.map((layer) => ({ layer, attn: true, mlp: true }));
const SLOTS = whole([0, 1, 2, 3, 26, 27, 28, 29]);
const ALL = whole(Array.from({ length: 30 }, (_, layer) => layer));
const question: Question = { prompts: file.baseline.cases.map(({ prompt_ids }) => prompt_ids), count: 12 };
const { python, has } = await findPython();
const llama = findLlama();

let folder: string;
const changes = new Map<string, Changes>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-exports-"));
  vi.stubEnv("FRANKEN_ARTIFACTS", join(folder, "artifacts"));
  const base = await openCheckpoint("smollm2-135m");
  const narrow = async (id: string, sizes: Parameters<typeof makeNarrow>[3]) =>
    changes.set(id, await makeNarrow(base, id, SLOTS, sizes));
  await narrow("uniform", () => ({ kvHeads: 2, ffn: 1024 }));
  await narrow("uneven", (layer) => ({ kvHeads: (layer % 3) + 1, ffn: 1536 - 32 * layer, bias: layer % 2 === 0 }));
  const pairs = (slots: readonly Slot[], rankOf: (layer: number) => number) =>
    slots.flatMap(({ layer }) =>
      (["q", "v", "down"] as const).map((linear) => ({ layer, linear, rank: rankOf(layer) })),
    );
  const few = pairs(SLOTS.slice(2, 6), () => 2);
  changes.set("adapted", await makeAdapted(base, "adapted", SLOTS, few));
  // Layers 1 and 12 are unlike the others; 11 and 21 end as 1 does.
  const odd = [
    { layer: 1, linear: "o", rank: 1 },
    { layer: 12, linear: "gate", rank: 4 },
  ] as const;
  const all = [...pairs(ALL, (layer) => (layer === 1 ? 3 : 2)), ...odd];
  changes.set("adapted-everywhere", await makeAdapted(base, "adapted-everywhere", ALL, all, 0.1));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const answers = new Map<string, Promise<readonly Answer[]>>();
const ours = async (id: string, scaling?: RopeScaling): Promise<readonly Answer[]> => {
  const key = JSON.stringify([id, scaling]);
  const { slots } = await findRecipe(id);
  const known =
    answers.get(key) ?? askOurs({ ...question, slots, changes: changes.get(id) ?? new Map(), ropeScaling: scaling });
  answers.set(key, known);
  return known;
};

async function agree(id: string, theirs: readonly Answer[], scaling?: RopeScaling): Promise<void> {
  const expected = await ours(id, scaling);
  expect(theirs).toHaveLength(expected.length);
  for (const [i, { nll, greedy }] of theirs.entries()) {
    const difference = nll.map((value, token) => Math.abs(value - (expected[i]?.nll[token] as number)));
    expect(difference).toHaveLength((question.prompts[i] as number[]).length - 1);
    expect(Math.max(...difference)).toBeLessThan(TOLERANCE);
    expect(greedy).toEqual(expected[i]?.greedy);
  }
}

const WHOLE = ["smollm2-135m-block-drop-4", "smollm2-135m-franken-mid-expansion-with-repeats", "uniform", "adapted"];
const SLICES = WHOLE.slice(0, 2);
const DECI = ["smollm2-135m-attn-drop-10", "smollm2-135m-mlp-drop-2", "uneven"];

/** A variant of the base as if its RoPE were stretched. */
async function scaledStack(id: string, ropeScaling: RopeScaling): Promise<Stack> {
  const base = await openCheckpoint("smollm2-135m");
  return stackOf(await findRecipe(id), { ...base, shape: { ...base.shape, ropeScaling } });
}
/** The original context of the first ends within the prompts. */
const SCALINGS: RopeScaling[] = [
  { type: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 24 },
  { type: "linear", factor: 4 },
];

describe.skipIf(!has("transformers"))("transformers", () => {
  it.each(WHOLE)("computes %s as our engine does", async (id) => {
    const out = join(folder, `${id}-hf`);
    await putOutput(out, await exportVariant(id, "hf"));
    const texts = ["Hello, world! 123 <|im_start|>user\nWhat's up?"];
    const { answers, tokens } = await askTransformers(python, out, { ...question, texts });
    await rm(out, { recursive: true });
    await agree(id, answers);
    // "Hello", ",", … and <|im_start|> as one token.
    expect(tokens[0]).toContain(1);
  });
});

describe.skipIf(!has("transformers"))("transformers, where RoPE is stretched", () => {
  it.each(SCALINGS)("computes the base as our engine does: %j", async (scaling) => {
    const out = join(folder, "scaled-hf");
    await putOutput(out, huggingFaceOutput(await scaledStack("smollm2-135m", scaling), "f32"), { force: true });
    await agree("smollm2-135m", (await askTransformers(python, out, question)).answers, scaling);
    await rm(out, { recursive: true });
  });
});

describe.skipIf(!has("peft"))("PEFT", () => {
  it.each([
    ["adapted", "what hf --unmerged writes of it", "adapted"],
    ["adapted-everywhere", "the base", "smollm2-135m"],
  ])("computes the adapter of %s on %s as our engine does", async (id, _, model) => {
    const [under, adapter] = [join(folder, `${id}-under`), join(folder, `${id}-peft`)];
    await putOutput(under, await exportVariant(model, "hf", { unmerged: true }));
    await putOutput(adapter, await exportVariant(id, "peft", { baseModel: under }));
    const { answers } = await askTransformers(python, under, { ...question, adapter });
    await rm(under, { recursive: true });
    await agree(id, answers);
  });
});

describe.skipIf(!has("mergekit"))("mergekit", () => {
  it.each(SLICES)("makes %s of the base", async (id) => {
    const [model, config, out] = [join(folder, "base"), join(folder, `${id}.yaml`), join(folder, `${id}-merged`)];
    await putOutput(model, await exportVariant("smollm2-135m", "hf"), { force: true });
    await putOutput(config, await exportVariant(id, "mergekit", { baseModel: model }));
    await runMergekit(python, config, out);
    const { answers } = await askTransformers(python, out, question);
    await rm(out, { recursive: true });
    await agree(id, answers);
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

  it.each(
    SCALINGS.flatMap((scaling) => ["smollm2-135m", "smollm2-135m-attn-drop-10"].map((id) => [id, scaling] as const)),
  )("computes %s as our engine does where RoPE is stretched: %j", async (id, scaling) => {
    const out = join(folder, "scaled.gguf");
    await putOutput(out, ggufOutput(await scaledStack(id, scaling), "f32"), { force: true });
    await agree(id, await askLlama(llama as string, out, question), scaling);
    await rm(out);
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
