import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { huggingFaceOutput } from "../../compress/export/hf.ts";
import { exportVariant } from "../../compress/export/index.ts";
import { mergekitOutput } from "../../compress/export/mergekit.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { type Output, putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import type { Checkpoint, ModelShape } from "../../formats/checkpoint.ts";
import type { Slot } from "../../src/variants/recipe.ts";
import { bytesOf, recipeOf } from "./recipe.ts";
import { tinyCheckpoint, tinyShape, trace } from "./tiny.ts";

const IDS = [3, 1, 4, 1, 5, 9, 2, 6];
const LLAMA3: ModelShape = {
  ...tinyShape,
  ropeTheta: 500_000,
  ropeScaling: { type: "llama3", factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 8192 },
};

let folder: string;
let opened: Checkpoint[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-export-"));
});
afterEach(async () => {
  for (const checkpoint of opened) await checkpoint.close();
  opened = [];
  await rm(folder, { recursive: true, force: true });
});

const slots = (list: readonly Partial<Slot>[]): Slot[] => recipeOf(list).slots;
const nllOf = async (checkpoint: Checkpoint, list: readonly Slot[] = all(checkpoint)) =>
  (await trace(checkpoint, list, IDS)).nll;
const all = ({ shape }: Checkpoint): Slot[] => shape.layers.map((_, layer) => ({ layer, attn: true, mlp: true }));

/** Writes what is exported, and opens it again. */
async function reopened(output: Output, name: string): Promise<Checkpoint> {
  await putOutput(join(folder, name), output);
  const checkpoint = await openCheckpoint(join(folder, name));
  opened.push(checkpoint);
  return checkpoint;
}

const close = (a: readonly number[], b: readonly number[]): void => {
  expect(a).toHaveLength(b.length);
  for (const [i, value] of a.entries()) expect(value).toBeCloseTo(b[i] as number, 4);
};

const MIXED = slots([
  { layer: 2, attn: false },
  { layer: 1 },
  { layer: 1, mlp: false },
  { layer: 0, attn: false },
  { layer: 3 },
]);
const UNEVEN: ModelShape = {
  ...tinyShape,
  layers: [
    { heads: 2, kvHeads: 1, ffn: 64 },
    { heads: 4, kvHeads: 2, ffn: 32 },
    { heads: 4, kvHeads: 1, ffn: 80 },
    { heads: 0, kvHeads: 0, ffn: 16 },
  ],
};

describe("as GGUF", () => {
  it.each([
    [
      "a stack of whole layers, an untied head, Llama 3's scaling",
      tinyCheckpoint({ untied: true, shape: LLAMA3 }),
      slots([{ layer: 3 }, { layer: 0 }, { layer: 0 }]),
    ],
    [
      "linear scaling",
      tinyCheckpoint({ shape: { ...tinyShape, ropeScaling: { type: "linear", factor: 2 } } }),
      slots([{}]),
    ],
    ["slots without attention or MLP, the first among them", tinyCheckpoint(), MIXED],
    [
      "layers of other widths, with biases",
      tinyCheckpoint({ shape: UNEVEN, bias: true }),
      slots([{ layer: 3 }, { layer: 0 }, { layer: 2 }, { layer: 1, mlp: false }]),
    ],
  ] as const)("%s computes the same when it is read again", async (_, base, list) => {
    const stack = await stackOf(recipeOf(list), base);
    const checkpoint = await reopened(ggufOutput(stack, "stored"), "a.gguf");
    close(await nllOf(checkpoint), await nllOf(base, list));
    if (base.shape.ropeScaling) expect(checkpoint.shape.ropeScaling).toEqual(base.shape.ropeScaling);
  });

  it("carries what is quantized over bit by bit, and gives the same bytes twice", async () => {
    const write = async () => {
      const output = await exportVariant("smollm2-135m-block-drop-4", "gguf");
      return output.kind === "file" ? bytesOf(output.chunks) : undefined;
    };
    const [first, second] = [await write(), await write()];
    expect(Buffer.compare(first!, second!)).toBe(0);
    await writeFile(join(folder, "b.gguf"), first!);
    const [base, checkpoint] = [await openCheckpoint("smollm2-135m"), await openCheckpoint(join(folder, "b.gguf"))];
    opened.push(checkpoint);
    expect(checkpoint.shape.layers).toHaveLength(26);
    const same = async (a: string, b: string) =>
      Buffer.compare(await checkpoint.readStored(a), await base.readStored(b)) === 0;
    expect(await same("blk.25.attn_q.weight", "blk.29.attn_q.weight")).toBe(true);
    expect(await same("token_embd.weight", "token_embd.weight")).toBe(true);
    expect(checkpoint.tensors.get("blk.25.ffn_down.weight")?.type).toBe("q4_1");
  });
});

describe("as a Hugging Face folder", () => {
  it.each([
    ["tied", tinyCheckpoint({ shape: LLAMA3 })],
    ["untied, with biases", tinyCheckpoint({ untied: true, bias: true })],
  ])("%s computes the same when it is read again", async (_, base) => {
    const list = slots([{ layer: 3 }, { layer: 0 }, { layer: 0 }]);
    const checkpoint = await reopened(huggingFaceOutput(await stackOf(recipeOf(list), base), "f32"), "hf");
    close(await nllOf(checkpoint), await nllOf(base, list));
    expect(checkpoint.shape.ropeScaling).toEqual(base.shape.ropeScaling);
  });

  it.each([
    [tinyCheckpoint(), [{ layer: 0 }, { layer: 1, attn: false }], "slot 1 (layer 1) has no attention"],
    [tinyCheckpoint(), [{ layer: 2, mlp: false }], "slot 0 (layer 2) has no MLP"],
    [tinyCheckpoint({ shape: UNEVEN }), [{ layer: 0 }, { layer: 1 }], "slot 1 (layer 1) has heads 4, slot 0 has 2"],
  ])("names the slot that it cannot express", async (base, list, problem) => {
    const stack = await stackOf(recipeOf(list), base);
    expect(() => huggingFaceOutput(stack, "f32")).toThrow(
      `${problem}, which LlamaForCausalLM cannot express: use --format gguf`,
    );
  });

  it("names the tensor whose values the type cannot hold", async () => {
    const base = tinyCheckpoint();
    const stack = await stackOf(recipeOf([{}]), {
      ...base,
      readStored: async (name) => {
        const bytes = (await base.readStored(name)).slice();
        if (name === "blk.0.ffn_up.weight") new DataView(bytes.buffer).setFloat32(0, 1e6, true);
        return bytes;
      },
    });
    await expect(putOutput(join(folder, "hf"), huggingFaceOutput(stack, "f16"))).rejects.toThrow(
      "tensor blk.0.ffn_up.weight cannot be f16: 1000000 is beyond half precision",
    );
  });
});

describe("as mergekit's slices", () => {
  it("joins layers that follow each other", async () => {
    const output = mergekitOutput(recipeOf([{ layer: 0 }, { layer: 1 }, { layer: 1 }, { layer: 5 }]), "a/b");
    const text = output.kind === "file" ? Buffer.from(await bytesOf(output.chunks)).toString() : "";
    expect(text.match(/- \d+/g)).toEqual(["- 0", "- 2", "- 1", "- 2", "- 5", "- 6"]);
    expect(text).toContain("model: a/b");
  });

  it("names the slot that slices cannot say", () => {
    expect(() => mergekitOutput(recipeOf([{}, { layer: 7, attn: false }]), "a/b")).toThrow(
      "slot 1 (layer 7) has no attention, which mergekit's slices cannot say",
    );
  });
});
