// Two weight sets in one memory: the same bits as each has alone, what they have in common once.
import { describe, expect, it } from "vitest";
import plain from "../../../dist/kernels/plain.wasm";
import relaxed from "../../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../../evaluation/random.ts";
import { createWasmEngine, type WasmEngine } from "../../../src/engine/wasm/index.ts";
import type { OpenFile } from "../../../src/engine/weights.ts";
import type { BaseModel } from "../../../src/variants/base.ts";
import { layOut, runsOf, sharingWith } from "../../../src/variants/layout.ts";
import { CHUNKS, digests, type Run } from "./identity.ts";
import { config, makeTiny, openFrom, tinyPlan } from "./tiny.ts";
import { base, files, shared, student } from "./weight-sets.ts";

const plans = [
  tinyPlan(base),
  tinyPlan(student, [{ layer: 0 }, { layer: 1 }]),
  tinyPlan(base, [{ layer: 0 }, { layer: 2, attn: false }]),
  tinyPlan(student, [{ layer: 1 }]),
];
const random = mulberry32(3);
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
      base,
      beside: [student],
      open: openFrom(own),
      modules: { relaxed, plain },
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
    expect(sharingWith(base, all, more)).toEqual([base, student]);
    expect(sharingWith(base, all, more - 1)).toEqual([base]);
  });

  it("keeps files apart into which one tensor reaches, and tensors at their boundaries", () => {
    const odd = makeTiny({ narrow: false }).base;
    expect(odd.parts).toHaveLength(2);
    expect(runsOf(odd).map(({ parts }) => parts.length)).toEqual([2]);
    for (const [key, at] of layOut([odd, base, student]).places) expect(at % 64).toBe(Number(key.split(" ")[0]));
  });
});
