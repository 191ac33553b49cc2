import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openWork } from "../../compress/apply/kept.ts";
import { merged } from "../../compress/apply/linears.ts";
import { matrixOf, withChanges } from "../../compress/apply/overlay.ts";
import { createForward, type Tokens } from "../../compress/forward/forward.ts";
import { readLayer } from "../../compress/forward/layer-weights.ts";
import { allSlots } from "../../compress/forward/perplexity.ts";
import {
  type Changes,
  eoraModel,
  gptqModel,
  magnitudeModel,
  narrowModel,
  roundModel,
  wandaModel,
} from "../../compress/methods/models.ts";
import type { Checkpoint, ModelShape } from "../../formats/checkpoint.ts";
import { randomNumbers } from "./random.ts";
import { tinyCheckpoint, tinyShape } from "./tiny.ts";

const shape: ModelShape = {
  ...tinyShape,
  hidden: 64,
  headDim: 16,
  layers: Array.from({ length: 3 }, () => ({ heads: 4, kvHeads: 2, ffn: 128 })),
};
const checkpoint = tinyCheckpoint({ shape });
const next = randomNumbers(4);
const tokens: Tokens = {
  sequences: 12,
  length: 32,
  ids: Int32Array.from({ length: 12 * 32 }, () => Math.floor((next() + 1) * 0.5 * shape.vocab)),
};
const subject = { checkpoint, slots: allSlots({ shape }) };
const calibrated = { ...subject, tokens };
const grid = { bits: 3, kind: "asymmetric", block: 32, part: "linears" } as const;

/** Mean squared difference of the last hidden states. */
async function difference(changes: Changes, base: Checkpoint = checkpoint): Promise<number> {
  const run = async (of: Checkpoint, lowRank: Changes["lowRank"] = []): Promise<Float32Array> => {
    const forward = createForward({ shape: of.shape, threads: 1 });
    const x = forward.embed(await of.read("token_embd.weight"), tokens);
    for (const [layer] of shape.layers.entries()) {
      const weights = await readLayer(of, layer);
      await forward.layer(
        merged(
          weights,
          (lowRank ?? []).filter((part) => part.layer === layer),
        ),
        x,
        { into: x },
      );
    }
    await forward.close();
    return x.values;
  };
  const [wanted, got] = [await run(base), await run(withChanges(base, changes.tensors), changes.lowRank)];
  return wanted.reduce((sum, value, i) => sum + (value - (got[i] as number)) ** 2, 0) / wanted.length;
}

describe("on a whole model", () => {
  let gptq: Changes;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "franken-work-"));
    gptq = await gptqModel(calibrated, grid);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it("GPTQ changes the hidden states less than rounding does", async () => {
    expect(gptq.tensors).toHaveLength(21);
    expect(await difference(gptq)).toBeLessThan(0.8 * (await difference(await roundModel(subject, grid))));
  });

  it("EoRA brings a quantized model nearer to what it was", async () => {
    const quantized = { ...calibrated, checkpoint: withChanges(checkpoint, gptq.tensors) };
    const { lowRank } = await eoraModel(quantized, checkpoint, { rank: 8, seed: 1 });
    expect(lowRank?.map(({ layer, linear }) => `${layer} ${linear}`).slice(0, 7)).toEqual(
      ["q", "k", "v", "o", "gate", "up", "down"].map((linear) => `0 ${linear}`),
    );
    expect(await difference({ ...gptq, lowRank })).toBeLessThan(0.8 * (await difference(gptq)));
  });

  it("the same command gives the same bytes, also where it goes on from kept layers", async () => {
    const stopped = {
      ...openWork("one", folder),
      put: async (layer: number) => Promise.reject(new Error(`at ${layer}`)),
    };
    await expect(gptqModel({ ...calibrated, kept: stopped }, grid)).rejects.toThrow("at 0");
    const work = openWork("one", folder);
    let layers = 0;
    const cut = async () => {
      if (++layers === 2) throw new Error("cut off");
    };
    const onLayer = () => void cut().catch(() => undefined);
    expect(await gptqModel({ ...calibrated, kept: work, onLayer }, grid)).toEqual(gptq);
    const again = openWork("one", folder);
    await rm(join(folder, ".work", (await readdir(join(folder, ".work")))[0] as string, "layer-2.bin"));
    const resumed = await gptqModel({ ...calibrated, kept: again }, grid);
    expect(again.resumed()).toBe(true);
    expect(resumed.tensors.map(({ name, data }) => [name, Buffer.from(data).toString("hex")])).toEqual(
      gptq.tensors.map(({ name, data }) => [name, Buffer.from(data).toString("hex")]),
    );
    await again.remove();
    expect(await readdir(join(folder, ".work"))).toEqual([]);
  });

  it("masks leave exact zeros in what is stored", async () => {
    for (const changes of [
      await wandaModel(calibrated, { keep: 2, of: 4 }),
      await magnitudeModel(subject, { keep: 2, of: 4 }),
    ]) {
      for (const { values } of changes.tensors.map(matrixOf)) {
        for (let at = 0; at < values.length; at += 4) {
          expect(values.subarray(at, at + 4).filter((value) => value === 0).length).toBeGreaterThanOrEqual(2);
        }
      }
    }
  });

  it.each([
    "global",
    "layer",
  ] as const)("structured pruning, ranked %s, gives a narrower model that runs", async (ranking) => {
    const options = { ranking, sparsity: 0.3, attention: true } as const;
    const flap = await narrowModel(calibrated, { ...options, score: "flap", bias: true });
    const narrow = withChanges(checkpoint, flap.tensors).shape.layers;
    expect(narrow.some(({ ffn, heads }) => ffn < 128 || heads < 4)).toBe(true);
    for (const { heads, kvHeads, ffn } of narrow) expect([heads / kvHeads, ffn % 32]).toEqual([2, 0]);
    const without = await narrowModel(calibrated, { ...options, score: "flap", bias: false });
    expect(await difference(flap)).toBeLessThan(1.05 * (await difference(without)));
  });

  it("EoRA refuses what became narrower, naming the tensor", async () => {
    const options = { ranking: "layer", sparsity: 0.3, attention: false, score: "magnitude", bias: false } as const;
    const { tensors } = await narrowModel(calibrated, options);
    const narrow = { ...calibrated, checkpoint: withChanges(checkpoint, tensors) };
    await expect(eoraModel(narrow, checkpoint, { rank: 8, seed: 1 })).rejects.toThrow(
      /blk\.0\.ffn_(gate|down)\.weight is \[/,
    );
  });

  it("quantizes the head by GPTQ, in Q8_0 blocks that hold its codes exactly", async () => {
    const { tensors } = await gptqModel(calibrated, { ...grid, bits: 4, part: "head" });
    expect(tensors.map(({ name, type, bits }) => [name, type, bits])).toEqual([["token_embd.weight", "q8_0", 4.625]]);
  });

  it("names the tensor whose columns do not fit", async () => {
    await expect(wandaModel(calibrated, { keep: 2, of: 5 })).rejects.toThrow(
      "blk.0.attn_q.weight has 64 columns, which 5",
    );
    const odd = { ...subject, checkpoint: tinyCheckpoint({ shape: tinyShape }) };
    await expect(roundModel({ ...odd, slots: allSlots({ shape: tinyShape }) }, grid)).rejects.toThrow(
      "blk.0.attn_q.weight has 48 columns",
    );
  });
});
