// Two weight sets in one memory: the same bits as each has alone, what they have in common once.
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import plain from "../../../dist/kernels/plain.wasm";
import relaxed from "../../../dist/kernels/relaxed.wasm";
import { createWasmEngine, type WasmEngine } from "../../../src/engine/wasm/index.ts";
import type { OpenFile } from "../../../src/engine/weights.ts";
import type { BaseModel, Tensor } from "../../../src/variants/base.ts";
import { layOut, runsOf, sharingWith } from "../../../src/variants/layout.ts";
import { CHUNKS, digests, type Run } from "./identity.ts";
import { config, makeTiny, openFrom, randomNumbers, type Tiny, tinyPlan } from "./tiny.ts";

const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
const files = new Map<string, Uint8Array>();

/** A weight set with a file for each tensor. */
function weightSet(id: string, layers: number, tensors: readonly (readonly [Tiny, Tensor])[]): BaseModel {
  let end = 0;
  const placed = tensors.map(([{ image }, tensor]) => {
    const bytes = image.slice(tensor.offset, tensor.offset + Math.ceil(tensor.bytes / 64) * 64);
    files.set(sha256(bytes), bytes);
    end += bytes.length;
    const part = { file: sha256(bytes), sha256: sha256(bytes), bytes: bytes.length };
    return { tensor: { ...tensor, offset: end - bytes.length }, part };
  });
  return {
    ...(tensors[0]?.[0].base as BaseModel),
    ...{ id, checkpoint: "tiny", config: { ...config, layers }, imageBytes: end },
    digest: sha256(JSON.stringify(placed)),
    tensors: placed.map(({ tensor }) => tensor),
    parts: placed.map(({ part }) => part),
  };
}

const [first, second] = [makeTiny({ narrow: false }), makeTiny({ narrow: false, seed: 2 })];
const isOutside = ({ name }: Tensor): boolean => !name.startsWith("blk.");
const base = weightSet(
  "base",
  3,
  first.base.tensors.map((tensor) => [first, tensor]),
);
/** The embedding of the base, two layers and an output norm of its own. */
const student = weightSet("student", 2, [
  [first, first.base.tensors.find(({ name }) => name === "token_embd.weight") as Tensor],
  ...second.base.tensors
    .filter((tensor) => (isOutside(tensor) ? tensor.name === "output_norm.weight" : !tensor.name.startsWith("blk.2.")))
    .map((tensor) => [second, tensor] as const),
]);
const shared = base.tensors.find(({ name }) => name === "token_embd.weight")!.bytes;

const plans = [
  tinyPlan(base),
  tinyPlan(student, [{ layer: 0 }, { layer: 1 }]),
  tinyPlan(base, [{ layer: 0 }, { layer: 2, attn: false }]),
  tinyPlan(student, [{ layer: 1 }]),
];
const random = randomNumbers(3);
const ids = Array.from({ length: 100 }, () => Math.floor(random() * config.vocab));
const runs = plans.map((plan, i): Run => ({ plan, ids: ids.slice(i, 60 + 7 * i), chunks: CHUNKS.slice(i) }));
const MIB = 2 ** 20;
const load = (of: BaseModel, beside?: readonly BaseModel[], ceilingBytes = 8 * MIB): Promise<WasmEngine> =>
  createWasmEngine({ base: of, beside, open: openFrom(files), modules: { relaxed, plain }, ceilingBytes });
const alone = async (run: Run): Promise<string[]> => (await digests(await load(run.plan.base), [run]))[0] as string[];

describe("a weight set beside another", () => {
  it("gives the bits that it gives alone, stepped together with the other", async () => {
    const engine = await load(base, [student]);
    await expect(engine.open(plans[1]!, 10)).rejects.toThrow("which is not loaded");
    const progress: number[] = [];
    await engine.load!(student, (share) => progress.push(share));
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toBeCloseTo(1, 5);
    expect(await digests(engine, runs)).toEqual(await Promise.all(runs.map(alone)));
  });

  it("takes no more memory than what the two have not in common, and none from sequences", async () => {
    const [one, both] = [await load(base), await load(base, [student])];
    const more = both.residentBytes() - one.residentBytes();
    expect(more).toBeLessThan(student.imageBytes - shared + 65_536);
    expect(more).toBeGreaterThan(student.imageBytes - shared - 65_536);
    await both.load!(student);
    expect(both.residentBytes() - one.residentBytes()).toBe(more);

    const [tight, same] = await Promise.all([[student], []].map((beside) => load(base, beside, one.residentBytes())));
    expect(same!.capacityOf(plans[0]!)).toBeLessThan(config.contextLength);
    expect(tight!.capacityOf(plans[0]!)).toBeGreaterThanOrEqual(same!.capacityOf(plans[0]!));
  });

  it("loads once, while the other is stepped", async () => {
    const opened: string[] = [];
    const open: OpenFile = async (file) => {
      opened.push(file.file);
      return openFrom(files)(file);
    };
    const engine = await createWasmEngine({ base, beside: [student], open, modules: { relaxed, plain } });
    const [, , bits] = await Promise.all([engine.load!(student), engine.load!(student), digests(engine, [runs[0]!])]);
    expect(bits).toEqual([await alone(runs[0]!)]);
    expect(opened.toSorted()).toEqual(
      [...new Set([...base.parts, ...student.parts].map(({ file }) => file))].toSorted(),
    );
  });

  it("that is damaged leaves the other whole, and is loaded when its file is there again", async () => {
    const own = new Map(files);
    const { file } = student.parts.at(-1)!;
    own.set(file, new Uint8Array(own.get(file)!.length));
    const engine = await createWasmEngine({
      ...{ base, beside: [student], open: openFrom(own), modules: { relaxed, plain } },
    });
    await expect(engine.load!(student)).rejects.toMatchObject({ code: "damaged_weights" });
    await expect(engine.open(plans[1]!, 10)).rejects.toThrow("which is not loaded");
    expect(await digests(engine, [runs[0]!])).toEqual([await alone(runs[0]!)]);
    own.set(file, files.get(file)!);
    await engine.load!(student);
    expect(await digests(engine, runs)).toEqual(await Promise.all(runs.map(alone)));
  });
});

describe("what shares a memory", () => {
  const more = layOut([base, student]).bytes - layOut([base]).bytes;

  it("is what there is room for, of the same checkpoint and shapes", () => {
    const stretched = { ...student, id: "stretched", config: { ...student.config, ropeTheta: 5 } };
    const other = { ...student, id: "other", checkpoint: "another" };
    const all = [stretched, base, other, student];
    const first = { ...base, id: "tiny", checkpoint: undefined };
    expect(sharingWith(base, all, more)).toEqual([base, student]);
    expect(sharingWith(base, all, more - 1)).toEqual([base]);
    expect(sharingWith(first, all, more)).toEqual([first, base, student]);
  });

  it("keeps files apart into which one tensor reaches, and tensors at their boundaries", () => {
    const odd = makeTiny({ narrow: false }).base;
    expect(odd.parts).toHaveLength(2);
    expect(runsOf(odd).map(({ parts }) => parts.length)).toEqual([2]);
    for (const [key, at] of layOut([odd, base, student]).places) expect(at % 64).toBe(Number(key.split(" ")[0]));
  });
});
