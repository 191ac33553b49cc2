// A base of a few thousand random weights with bytes, in shapes that leave remainders: a vocabulary that is no multiple of eight, four
// query heads to a KV head, three blocks of hidden size.
import { createHash } from "node:crypto";
import { packQ4, packQ8 } from "../../../build/kernel-layout.ts";
import { mulberry32 } from "../../../evaluation/random.ts";
import { toHalf } from "../../../formats/half.ts";
import type { OpenFile } from "../../../src/engine/weights.ts";
import type { BaseModel, ModelConfig, Tensor } from "../../../src/variants/base.ts";
import { compilePlan, type Plan } from "../../../src/variants/plan.ts";
import { slotRecipeSchema } from "../../../src/variants/recipe.ts";

export const config: ModelConfig = {
  layers: 3,
  hidden: 96,
  heads: 8,
  kvHeads: 2,
  headDim: 32,
  ffn: 160,
  vocab: 300,
  contextLength: 256,
  ropeTheta: 10_000,
  rmsEps: 1e-5,
  bosTokenId: 1,
  eosTokenIds: [2],
};

export interface Tiny {
  readonly base: BaseModel;
  readonly image: Uint8Array<ArrayBuffer>;
  readonly open: OpenFile;
}

const NONE = /^$/;
/** All linears of one layer, some of another and of the narrow one: of gate and up only one. */
export const MIXED = /^blk\.0\.|^blk\.1\.(attn_k|attn_output|ffn_gate)|^narrow\.(attn_q|attn_v|ffn_up|ffn_down)/;

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/**
 * @param poisoned a token whose embedding is infinite
 * @param narrow whether it has the tensors that `narrowPlan` wants, which are half as wide
 * @param eight names of linears that have 8 bits, not 4
 */
export function makeTiny({ shape = config, seed = 1, poisoned = -1, narrow = true, eight = NONE } = {}): Tiny {
  const random = mulberry32(seed);
  const byte = (): number => Math.floor(random() * 256);
  const q4 = (rows: number, cols: number): Uint8Array => {
    const data = new Uint8Array((rows * cols * 20) / 32).map(byte);
    const view = new DataView(data.buffer);
    for (let at = 0; at < data.length; at += 20) {
      const scale = (0.5 + random()) / (4 * Math.sqrt(cols));
      view.setUint16(at, toHalf(scale), true);
      view.setUint16(at + 2, toHalf(-7.5 * scale * (0.9 + 0.2 * random())), true);
    }
    return packQ4(data, rows, cols);
  };
  /** @param step mean scale of a block */
  const q8 = (rows: number, cols: number, step = 1 / 128): Uint8Array => {
    const data = new Uint8Array((rows * cols * 34) / 32).map(byte);
    const view = new DataView(data.buffer);
    for (let at = 0; at < data.length; at += 34) {
      view.setUint16(at, toHalf((0.5 + random()) * step), true);
      for (let i = 0; i < 32; i++) if (view.getInt8(at + 2 + i) === -128) view.setInt8(at + 2 + i, -127);
    }
    const blocks = cols / 32;
    if (poisoned >= 0) view.setUint16(poisoned * blocks * 34, 0x7c00, true);
    return packQ8(data, rows, cols);
  };
  const f32 = (count: number, least: number): Uint8Array => {
    const values = Float32Array.from({ length: count }, () => least + random());
    return new Uint8Array(values.buffer);
  };

  const { hidden, heads, kvHeads, headDim, ffn, vocab } = shape;
  const chunks: Uint8Array[] = [];
  let end = 0;
  const tensor = (name: string, usual: Tensor["type"], rows: number, cols: number): Tensor => {
    const type = usual === "q4_1" && eight.test(name) ? "q8_0" : usual;
    const data = {
      f32: () => f32(cols, name.endsWith("bias") ? -0.5 : 0.5),
      q4_1: () => q4(rows, cols),
      q8_0: () => q8(rows, cols, usual === type ? undefined : 1 / (64 * Math.sqrt(cols))),
    }[type]();
    const offset = end;
    const padded = new Uint8Array(Math.ceil(data.length / 64) * 64);
    padded.set(data);
    chunks.push(padded);
    end += padded.length;
    return { name, digest: sha256(data), type, rows, cols, offset, bytes: data.length };
  };
  const tensors = [
    tensor("token_embd.weight", "q8_0", vocab, hidden),
    tensor("output_norm.weight", "f32", 1, hidden),
    ...Array.from({ length: shape.layers }, (_, layer) => [
      tensor(`blk.${layer}.attn_norm.weight`, "f32", 1, hidden),
      tensor(`blk.${layer}.attn_q.weight`, "q4_1", heads * headDim, hidden),
      tensor(`blk.${layer}.attn_k.weight`, "q4_1", kvHeads * headDim, hidden),
      tensor(`blk.${layer}.attn_v.weight`, "q4_1", kvHeads * headDim, hidden),
      tensor(`blk.${layer}.attn_output.weight`, "q4_1", hidden, heads * headDim),
      tensor(`blk.${layer}.ffn_norm.weight`, "f32", 1, hidden),
      tensor(`blk.${layer}.ffn_gate.weight`, "q4_1", ffn, hidden),
      tensor(`blk.${layer}.ffn_up.weight`, "q4_1", ffn, hidden),
      tensor(`blk.${layer}.ffn_down.weight`, "q4_1", hidden, ffn),
    ]).flat(),
  ];
  // A pruned layer: fewer heads, a narrower MLP, and biases that make up for what is gone.
  if (narrow) {
    tensors.push(
      tensor("narrow.attn_q", "q4_1", (heads * headDim) / 2, hidden),
      tensor("narrow.attn_k", "q4_1", (kvHeads * headDim) / 2, hidden),
      tensor("narrow.attn_v", "q4_1", (kvHeads * headDim) / 2, hidden),
      tensor("narrow.attn_output", "q4_1", hidden, (heads * headDim) / 2),
      tensor("narrow.ffn_gate", "q4_1", 64, hidden),
      tensor("narrow.ffn_up", "q4_1", 64, hidden),
      tensor("narrow.ffn_down", "q4_1", hidden, 64),
      tensor("narrow.attn_output.bias", "f32", 1, hidden),
      tensor("narrow.ffn_down.bias", "f32", 1, hidden),
    );
  }
  const image = new Uint8Array(end);
  for (const [i, { offset }] of tensors.entries()) image.set(chunks[i] as Uint8Array, offset);
  const half = Math.floor(end / 2);
  const files = new Map([image.subarray(0, half), image.subarray(half)].map((bytes) => [sha256(bytes), bytes]));
  const parts = [...files].map(([sha, bytes]) => ({ file: sha, sha256: sha, bytes: bytes.length }));
  const base: BaseModel = {
    vocabulary: { file: "none", sha256: "none", bytes: 1 },
    id: "tiny",
    digest: sha256(image),
    created: 0,
    origin: "made by a test",
    license: "none",
    config: shape,
    tensors,
    imageBytes: end,
    parts,
  };
  return { base, image, open: openFrom(files) };
}

/** Opens files out of a map from name to bytes. */
export const openFrom =
  (files: ReadonlyMap<string, Uint8Array>): OpenFile =>
  async ({ file }) => {
    const bytes = files.get(file);
    return bytes && (new Response(bytes.slice()).body as ReadableStream<Uint8Array>);
  };

export const tinyPlan = (base: BaseModel, slots: object[] = [{ layer: 0 }, { layer: 1 }, { layer: 2 }]): Plan =>
  compilePlan(
    slotRecipeSchema.parse({
      id: "tiny",
      base: "tiny",
      title: "Tiny",
      origin: { source: "a test", section: "none" },
      status: "research",
      slots,
    }),
    base,
  );

/** The base with its first layer pruned: the weights of a recipe with changed tensors. */
export function narrowBase(base: BaseModel): BaseModel {
  const pruned = base.tensors.flatMap((tensor) => {
    const name = /^narrow\.(.+)$/.exec(tensor.name)?.[1];
    return name ? [{ ...tensor, name: `blk.0.${name.endsWith(".bias") ? name : `${name}.weight`}` }] : [];
  });
  const names = new Set(pruned.map(({ name }) => name));
  return { ...base, tensors: [...base.tensors.filter(({ name }) => !names.has(name)), ...pruned] };
}

/** A plan whose middle slot is pruned. */
export function narrowPlan(base: BaseModel): Plan {
  const plan = tinyPlan(base);
  const find = (name: string): Tensor => base.tensors.find((tensor) => tensor.name === `narrow.${name}`) as Tensor;
  const slots = plan.slots.map((slot, index) =>
    index !== 1 || !slot.attn || !slot.mlp
      ? slot
      : {
          ...slot,
          attn: {
            ...slot.attn,
            q: find("attn_q"),
            k: find("attn_k"),
            v: find("attn_v"),
            o: find("attn_output"),
            bias: find("attn_output.bias"),
          },
          mlp: {
            ...slot.mlp,
            gate: find("ffn_gate"),
            up: find("ffn_up"),
            down: find("ffn_down"),
            bias: find("ffn_down.bias"),
          },
        },
  );
  return { ...plan, slots };
}
