// RoPE scaling as GGUF and as config.json say it, read or refused by name.
import { describe, expect, it } from "vitest";
import { configOfScaling, scalingOfConfig } from "../../../compress/formats/rope.ts";
import { readScaling, ropeFactors } from "../../../scripts/build/rope.ts";
import type { RopeScaling } from "../../../src/variants/base.ts";

const LLAMA3 = { type: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContextLength: 8192 } as const;
const shape = { headDim: 64, ropeTheta: 500_000 };

describe("GGUF", () => {
  const read = (fields: Record<string, unknown>, factors?: Float32Array) =>
    readScaling({ name: "a.gguf", field: (key) => fields[`rope.${key.slice(5)}`], factors, ...shape });

  it.each<[RopeScaling | undefined, Record<string, unknown>]>([
    [undefined, {}],
    [undefined, { "rope.scaling.type": "none", "rope.scaling.factor": 4 }],
    [undefined, { "rope.scaling.type": "linear" }],
    [undefined, { "rope.scale_linear": 0 }],
    [
      { type: "linear", factor: 4 },
      { "rope.scaling.type": "linear", "rope.scaling.factor": 4 },
    ],
    [{ type: "linear", factor: 2 }, { "rope.scale_linear": 2 }],
  ])("reads %j", (scaling, fields) => expect(read(fields)).toEqual(scaling));

  it.each([
    LLAMA3,
    { ...LLAMA3, factor: 32 },
    { ...LLAMA3, originalContextLength: 64 },
    { ...LLAMA3, highFreqFactor: 8, originalContextLength: 1000 },
  ])("finds the scaling that gave factors: %j", (scaling) => {
    expect(read({}, ropeFactors(scaling, 64, 500_000))).toEqual(scaling);
  });

  it.each<[string, Record<string, unknown>, Float32Array?]>([
    [
      "a.gguf: RoPE scaling of the type yarn is not read (linear and llama3 are): take",
      { "rope.scaling.type": "yarn" },
    ],
    ["of the type longrope is not read", { "rope.scaling.type": "longrope" }],
    ["rope.scaling.factor is -2", { "rope.scaling.factor": -2 }],
    ["rope_freqs.weight at once", { "rope.scaling.factor": 2 }, ropeFactors(LLAMA3, 64, 500_000)],
    ["rope_freqs.weight is not a scaling that Llama 3 has", {}, new Float32Array(32)],
    ["rope_freqs.weight is not a scaling that Llama 3 has", {}, ropeFactors(LLAMA3, 128, 500_000)],
    ["rope_freqs.weight is not a scaling that Llama 3 has", {}, Float32Array.from({ length: 32 }, (_, i) => 1 + i)],
  ])("refuses: %s", (problem, fields, factors) => expect(() => read(fields, factors)).toThrow(problem));
});

describe("config.json", () => {
  const where = "model/config.json: rope_scaling";

  it.each<RopeScaling>([LLAMA3, { type: "linear", factor: 2.5 }])("reads what is written of %j", (scaling) => {
    expect(scalingOfConfig({ rope_theta: 10_000, ...configOfScaling(scaling) }, where)).toEqual(scaling);
  });

  it("reads the older word for the type, and none", () => {
    expect(scalingOfConfig({ type: "linear", factor: 2 }, where)).toEqual({ type: "linear", factor: 2 });
    expect(scalingOfConfig({ rope_type: "default", rope_theta: 10_000 }, where)).toBeUndefined();
    expect(scalingOfConfig({}, where)).toBeUndefined();
  });

  const llama3 = configOfScaling(LLAMA3);
  it.each([
    [`${where}: RoPE scaling of the type yarn is not read`, { rope_type: "yarn", factor: 4 }],
    ["take it out of config.json", { type: "dynamic", factor: 2 }],
    ["of the type toString is not read", { type: "toString" }],
    ["→ at factor", { rope_type: "linear" }],
    ["→ at original_max_position_embeddings", { ...llama3, original_max_position_embeddings: undefined }],
    ["high_freq_factor is not the higher one", { ...llama3, high_freq_factor: 1 }],
    ["partial_rotary_factor of 0.5", { ...llama3, partial_rotary_factor: 0.5 }],
  ])("refuses: %s", (problem, given) => expect(() => scalingOfConfig(given, where)).toThrow(problem));
});
