// Every criterion against plain double-precision code on a small random checkpoint.
import { mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Calibration } from "../../../compress/calibration.ts";
import type { Ranking } from "../../../compress/importance/criterion.ts";
import { type MeasureOptions, measureImportance, wantedOf } from "../../../compress/importance/measure.ts";
import { writeReport } from "../../../compress/importance/report.ts";
import { labelOf, type Part, type Unit } from "../../../compress/importance/units.ts";
import type { Slot } from "../../../src/variants/recipe.ts";
import { random } from "../../engine/onnx/tiny.ts";
import { type Rows, type Trace, tinyCheckpoint, tinyShape, trace } from "../tiny.ts";

const LAYERS = 8;
const layers = Array.from({ length: LAYERS }, () => ({ heads: 4, kvHeads: 2, ffn: 32 }));
const checkpoint = tinyCheckpoint({ shape: { ...tinyShape, layers }, seed: 3 });
const SEQUENCES = 18;
const LENGTH = 6;
const next = random(5);
const ids = Int32Array.from({ length: SEQUENCES * LENGTH }, () => Math.floor((next() + 0.5) * tinyShape.vocab));
const calibration: Calibration = {
  name: "made up",
  digest: "made-up",
  tokens: { sequences: SEQUENCES, length: LENGTH, ids },
};
const sequence = (i: number): number[] => [...ids.subarray(i * LENGTH, (i + 1) * LENGTH)];
const EVALUATED = [0, 9];
const all: readonly Slot[] = layers.map((_, layer) => ({ layer, attn: true, mlp: true }));

async function measure(criterion: string, target: string, more: Partial<MeasureOptions> = {}): Promise<Ranking> {
  const wanted = wantedOf(criterion, target);
  const options = {
    checkpoint,
    calibration,
    wanted,
    evaluation: EVALUATED.length,
    removals: 3,
    groupTokens: 5 * LENGTH,
    ...more,
  };
  for await (const { ranking } of measureImportance(options)) return ranking;
  throw new Error("nothing was measured");
}

const cosine = (a: readonly number[], b: readonly number[]): number => {
  const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
};
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanCosine = (pairs: readonly (readonly [Rows, Rows])[]): number =>
  mean(pairs.flatMap(([a, b]) => a.map((row, i) => cosine(row, b[i]!))));

let traces: Trace[];
beforeAll(async () => {
  traces = await Promise.all(Array.from({ length: SEQUENCES }, (_, i) => trace(checkpoint, all, sequence(i))));
});

const expectClose = (ours: readonly number[], theirs: readonly number[]): void => {
  expect(ours).toHaveLength(theirs.length);
  for (const [i, value] of theirs.entries()) expect(Math.abs(ours[i]! / value - 1), `${i}`).toBeLessThan(1e-4);
};
const valuesOf = ({ values }: Ranking): number[] => values.map(({ value }) => value);

/** Labels by value. */
const sorted = (ranking: Ranking, sign: 1 | -1): string[] =>
  ranking.values.toSorted((a, b) => sign * (a.value - b.value)).map(labelOf);

const similarityOf = (layer: number, part: Part): number =>
  meanCosine(
    traces.map(({ slots }) => {
      const { before, afterAttention, after } = slots[layer]!;
      return part === "block"
        ? [before, after]
        : part === "attention"
          ? [before, afterAttention]
          : [afterAttention, after];
    }),
  );

describe("similarity", () => {
  it.each(["block", "attention", "mlp"] as const)("of a %s is that of its input and output", async (part) => {
    const ranking = await measure("similarity", part);
    expectClose(
      valuesOf(ranking),
      all.map(({ layer }) => similarityOf(layer, part)),
    );
    expect(ranking.order.map(labelOf)).toEqual(sorted(ranking, -1));
  });

  it("ranks attention and MLP sublayers together", async () => {
    const ranking = await measure("similarity", "joint");
    expectClose(
      valuesOf(ranking),
      all.flatMap(({ layer }) => [similarityOf(layer, "attention"), similarityOf(layer, "mlp")]),
    );
    expect(ranking.order.map(labelOf)).toEqual(sorted(ranking, -1));
  });
});

it("block influence is what similarity lacks", async () => {
  const ranking = await measure("influence", "block");
  expectClose(
    valuesOf(ranking),
    all.map(({ layer }) => 1 - similarityOf(layer, "block")),
  );
  expect(ranking.order.map(labelOf)).toEqual(sorted(ranking, 1));
});

it("angular distance is of the last token over runs of layers", async () => {
  const ranking = await measure("angular", "block");
  const distance = (first: number, count: number): number =>
    mean(
      traces.map(({ slots }) => {
        const before = slots[first]!.before.at(-1)!;
        const after = slots[first + count - 1]!.after.at(-1)!;
        return Math.acos(cosine(before, after)) / Math.PI;
      }),
    );
  expectClose(
    valuesOf(ranking),
    all.map(({ layer }) => distance(layer, 1)),
  );
  expect(ranking.runs).toHaveLength(LAYERS);
  for (const { layers: count, first, value } of ranking.runs!) {
    const distances = Array.from({ length: LAYERS - count + 1 }, (_, at) => distance(at, count));
    expectClose([value], [Math.min(...distances)]);
    expect(first).toBe(distances.indexOf(Math.min(...distances)));
  }
});

const removed = (slots: readonly Slot[], { layer, part }: Unit): Slot[] =>
  slots.flatMap((slot) => {
    if (slot.layer !== layer) return [slot];
    const left = { layer, attn: slot.attn && part === "mlp", mlp: slot.mlp && part === "attention" };
    return left.attn || left.mlp ? [left] : [];
  });
async function perplexity(slots: readonly Slot[]): Promise<number> {
  const nll: number[] = [];
  for (const i of EVALUATED) nll.push(...(await trace(checkpoint, slots, sequence(i))).nll);
  return Math.exp(mean(nll));
}

describe("perplexity on removal", () => {
  it.each([
    ["block", ["block"]],
    ["attention", ["attention"]],
    ["joint", ["attention", "mlp"]],
  ] as const)("of a %s leaves the first four layers and the last two", async (target, parts) => {
    const ranking = await measure("perplexity", target);
    const units = [4, 5].flatMap((layer) => parts.map((part) => ({ layer, part })));
    expect(ranking.values.map(labelOf)).toEqual(units.map(labelOf));
    expectClose(valuesOf(ranking), await Promise.all(units.map((unit) => perplexity(removed(all, unit)))));
    expect(ranking.order.map(labelOf)).toEqual(sorted(ranking, 1));
  });

  it("says so where they are all that there is", async () => {
    const small = tinyCheckpoint({ shape: { ...tinyShape, layers: layers.slice(0, 6) } });
    await expect(measure("perplexity", "mlp", { checkpoint: small })).rejects.toThrow(
      "perplexity on removal keeps the first 4 layers and the last 2, and the model has no mlp beyond them (6 layers): take another criterion",
    );
  });
});

describe("greedy removal", () => {
  it.each([
    ["block", ["block"]],
    ["joint", ["attention", "mlp"]],
  ] as const)("of a %s measures anew after each", async (target, parts) => {
    const ranking = await measure("greedy", target);
    let slots: Slot[] = [...all];
    let left: Unit[] = all.flatMap(({ layer }) => parts.map((part) => ({ layer, part })));
    for (const { value, ...unit } of ranking.values) {
      const found = await Promise.all(left.map((one) => perplexity(removed(slots, one))));
      const best = found.indexOf(Math.min(...found));
      expect(labelOf(unit)).toBe(labelOf(left[best]!));
      expectClose([value], [found[best]!]);
      slots = removed(slots, unit);
      left = left.filter((one) => labelOf(one) !== labelOf(unit));
    }
    expect(ranking.order).toHaveLength(3);
  });
});

describe("a measurement", () => {
  const temporary = () => mkdtemp(join(tmpdir(), "franken-importance-"));
  const work = async (folder: string): Promise<string> => {
    const [name] = (await readdir(join(folder, "work"))).filter((file) => file.startsWith("perplexities"));
    return join(folder, "work", name!);
  };

  it("goes on where it was cut off", async () => {
    const folder = await temporary();
    const whole = await measure("greedy", "block", { folder });
    const file = await work(folder);
    const lines = (await readFile(file, "utf8")).split("\n");
    await writeFile(file, `${lines.slice(0, 5).join("\n")}\n${lines[5]!.slice(0, 12)}`);
    expect(await measure("greedy", "block", { folder })).toEqual(whole);
    // What is kept is read and not computed.
    const kept = lines[0]!.replace(/"value":[\d.]+/, '"value":1.5');
    await writeFile(file, `${kept}\n`);
    expect((await measure("greedy", "block", { folder })).values[0]?.value).toBe(1.5);
  });

  it("of hidden states is kept by the size of its groups", async () => {
    const folder = await temporary();
    const [small, large] = [2, 9].map((sequences) => ({ folder, groupTokens: sequences * LENGTH }));
    const first = await measure("similarity", "block", small);
    await measure("similarity", "block", large);
    expect((await readdir(join(folder, "work"))).filter((name) => name.startsWith("states"))).toHaveLength(2);
    expect(await measure("similarity", "block", small)).toEqual(first);
  });

  it("of hidden states is done once for all targets", async () => {
    const shown: string[] = [];
    const progress = () => ({ step: (note: () => string) => void shown.push(note()), end: () => undefined });
    const wanted = wantedOf("similarity,angular", "block");
    const options = { checkpoint, calibration, wanted, evaluation: 1, removals: 1, progress };
    for await (const _ of measureImportance(options)) expect(shown.at(-1)).toContain("similarity block");
  });

  it("of other tokens begins anew", async () => {
    const folder = await temporary();
    const before = await measure("perplexity", "block", { folder });
    const other = { ...calibration, digest: "other", tokens: { ...calibration.tokens, ids: ids.toReversed() } };
    expect(await measure("perplexity", "block", { folder, calibration: other })).not.toEqual(before);
  });

  it("leaves a report and a chart, the same bytes each time", async () => {
    const folder = await temporary();
    const [wanted] = wantedOf("similarity", "attention");
    const measured = { ...wanted!, ranking: await measure("similarity", "attention") };
    const files = await writeReport({ measured, checkpoint, calibration, folder });
    const contents = await Promise.all(files.map((file) => readFile(file, "utf8")));
    await writeReport({ measured, checkpoint, calibration, folder });
    expect(await Promise.all(files.map((file) => readFile(file, "utf8")))).toEqual(contents);
    const report = JSON.parse(contents[0]!);
    expect(report.order).toEqual(measured.ranking.order.map(labelOf));
    expect(
      contents[1]!.match(/<rect class="(bar|marked)" x="[\d.]+" y="[\d.]+" width="[\d.]+" height="[\d.]+"><title>/g),
    ).toHaveLength(LAYERS);
    expect((await readdir(folder)).sort()).toEqual(["similarity-attention.json", "similarity-attention.svg"]);
  });

  it.each([
    ["influnce", undefined, /influnce: there are similarity, influence, angular, perplexity, greedy/],
    ["similarity", "heads", /heads: there are block, attention, mlp, joint/],
    ["angular", "mlp", /angular ranks block, and no mlp/],
  ] as const)("by %s over %s is refused", (criterion, target, message) => {
    expect(() => wantedOf(criterion, target)).toThrow(message);
  });

  it("on more sequences than there are is refused", async () => {
    await expect(measure("greedy", "block", { evaluation: 19 })).rejects.toThrow(/--evaluation must be 1 to 18/);
  });
});
