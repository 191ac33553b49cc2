// RoPE scaling as GGUF and as config.json say it, read or refused by name.
import { describe, expect, it } from "vitest";
import { ROPE_SETTINGS, readScaling, ropeFactors } from "../../formats/gguf/rope.ts";
import { configOfScaling, type RopeConfig, ropeOfConfig } from "../../formats/hugging-face/rope.ts";
import type { RopeScaling } from "../../src/variants/base.ts";

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

  it("takes the settings of a small head as they are written, which its factors do not tell, unless they are of others", () => {
    const small = { headDim: 8, ropeTheta: 10_000 };
    const scaling = { ...LLAMA3, originalContextLength: 64 };
    const factors = ropeFactors(scaling, 8, 10_000);
    const of = (written?: unknown) =>
      readScaling({ name: "a.gguf", field: (key) => (key === ROPE_SETTINGS ? written : undefined), factors, ...small });
    expect(of(JSON.stringify(scaling))).toEqual(scaling);
    for (const written of [undefined, 7, "{", "{}", JSON.stringify({ ...scaling, originalContextLength: 8192 })]) {
      expect(() => of(written)).toThrow("rope_freqs.weight is not a scaling that Llama 3 has");
    }
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
  const where = "model/config.json";
  const of = (config: Partial<RopeConfig>) => ropeOfConfig({ max_position_embeddings: 2048, ...config }, where);

  it.each<RopeScaling>([LLAMA3, { type: "linear", factor: 2.5 }])("reads what is written of %j", (ropeScaling) => {
    const rope = { ropeTheta: 10_000, ropeScaling };
    expect(of({ rope_theta: 10_000, rope_scaling: { ...configOfScaling(ropeScaling) } })).toEqual(rope);
    expect(of({ rope_parameters: { rope_theta: 10_000, ...configOfScaling(ropeScaling) } })).toEqual(rope);
  });

  const linear = { rope_type: "linear", factor: 2 };
  const short = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  const read = { type: "linear", factor: 2 };
  // What LlamaConfig of transformers 5.24.0 takes each for.
  it.each<[number, object | undefined, Partial<RopeConfig>]>([
    [10_000, undefined, {}],
    [500_000, undefined, { rope_theta: 500_000, rope_scaling: null }],
    [500_000, undefined, { rope_theta: 500_000, rope_scaling: {} }],
    [500_000, undefined, { rope_scaling: { rope_theta: 500_000, rope_type: "default" } }],
    [500_000, undefined, { rope_theta: 10_000, rope_scaling: { rope_theta: 500_000, rope_type: "default" } }],
    [500_000, undefined, { rope_theta: 10_000, rope_parameters: { rope_theta: 500_000 } }],
    [10_000, read, { rope_parameters: { rope_theta: 500_000 }, rope_scaling: linear }],
    [500_000, undefined, { rope_parameters: { rope_theta: 500_000 }, rope_scaling: {} }],
    [500_000, read, { rope_theta: 500_000, rope_scaling: { type: "linear", factor: 2 } }],
    [10_000, read, { rope_scaling: { ...linear, type: "dynamic" } }],
    [10_000, undefined, { rope_scaling: { factor: 2 } }],
    [10_000, { ...LLAMA3, originalContextLength: 2048 }, { rope_scaling: short }],
    [
      10_000,
      { ...LLAMA3, originalContextLength: 32 },
      { rope_scaling: { ...short, original_max_position_embeddings: 64 }, original_max_position_embeddings: 32 },
    ],
  ])("reads theta %i and the scaling %j out of %j", (ropeTheta, ropeScaling, config) => {
    expect(of(config)).toEqual({ ropeTheta, ropeScaling });
  });

  const llama3 = configOfScaling(LLAMA3);
  const scaling = `${where}: rope_scaling`;
  it.each<[string, Record<string, unknown>]>([
    [`${scaling}: RoPE scaling of the type yarn is not read`, { rope_type: "yarn", factor: 4 }],
    ["take it out of config.json", { type: "dynamic", factor: 2 }],
    ["of the type toString is not read", { type: "toString" }],
    ["of the type null is not read", { rope_type: null, type: "linear", factor: 2 }],
    ["→ at factor", { rope_type: "linear" }],
    ["→ at original_max_position_embeddings", { ...llama3, original_max_position_embeddings: null }],
    ["high_freq_factor is not the higher one", { ...llama3, high_freq_factor: 1 }],
    ["partial_rotary_factor of 0.5", { ...llama3, partial_rotary_factor: 0.5 }],
    [`${where}: rope_theta is null; it must be a number`, { ...linear, rope_theta: null }],
    [`${where}: rope_theta is -1; it must be a number`, { ...linear, rope_theta: -1 }],
  ])("refuses: %s", (problem, given) => expect(() => of({ rope_scaling: given })).toThrow(problem));

  // transformers cannot compute with either.
  it.each<Partial<RopeConfig>>([
    { rope_theta: null },
    { rope_theta: null, rope_scaling: linear },
    { rope_theta: 30_000, rope_parameters: { rope_theta: null } },
  ])("refuses a theta that is null: %j", (config) => expect(() => of(config)).toThrow("rope_theta is null"));
  it("refuses heads that turn in part", () => {
    expect(() => of({ partial_rotary_factor: 0.5 })).toThrow("partial_rotary_factor of 0.5");
  });
});
