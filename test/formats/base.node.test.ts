import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../compress/open.ts";
import { dequantize } from "../../src/engine/weights.ts";
import { builtBase } from "./built.ts";

describe("the base model as a checkpoint", () => {
  it("has its shape, and the same digest by id and by folder", async () => {
    const [byId, byFolder] = [
      await openCheckpoint("smollm2-135m"),
      await openCheckpoint("models/smollm2-135m-instruct"),
    ];
    expect(byId.digest).toBe(byFolder.digest);
    const { layers, ...shape } = byId.shape;
    expect(shape).toEqual({
      hidden: 576,
      headDim: 64,
      vocab: 49152,
      contextLength: 8192,
      ropeTheta: 100_000,
      ropeScaling: undefined,
      rmsEps: Math.fround(1e-5),
    });
    expect(layers).toEqual(new Array(30).fill({ heads: 9, kvHeads: 3, ffn: 1536 }));
    expect(byId.tensors.get("token_embd.weight")).toMatchObject({ type: "q8_0", rows: 49152, cols: 576 });
  });

  it("reads what the engine computes with", async () => {
    const { base, image } = await builtBase();
    const checkpoint = await openCheckpoint("smollm2-135m");
    for (const name of ["blk.0.attn_q.weight", "blk.29.attn_k.weight", "blk.7.ffn_down.weight", "output_norm.weight"]) {
      const tensor = base.tensors.find((tensor) => tensor.name === name);
      const { values } = await checkpoint.read(name);
      expect(Buffer.compare(new Uint8Array(values.buffer), new Uint8Array(dequantize(tensor!, image).buffer))).toBe(0);
    }
  });

  it("names what is not there", async () => {
    await expect(openCheckpoint("no-such-model")).rejects.toThrow(
      "no-such-model is no file, folder, base model or Hugging Face id",
    );
    const checkpoint = await openCheckpoint("smollm2-135m");
    await expect(checkpoint.read("blk.30.attn_q.weight")).rejects.toThrow("tensor blk.30.attn_q.weight is missing");
  });
});
