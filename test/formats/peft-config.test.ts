import { describe, expect, it } from "vitest";
import { peftConfigSchema, scaleOf } from "../../formats/peft/config.ts";

const fail = (problem: string): Error => new Error(problem);
const module = { number: 2, linear: "v", rank: 2 } as const;
const scale = (change: object): number =>
  scaleOf(peftConfigSchema.parse({ peft_type: "LORA", r: 2, lora_alpha: 2, ...change }), module, fail);

describe("a key of a pattern stands for the modules that PEFT takes it for", () => {
  it.each([
    ["v_proj", true],
    ["layers.2.self_attn.v_proj", true],
    ["model.layers.2.self_attn.v_proj", true],
    ["^model.layers.2.self_attn.v_proj", true],
    ["^v_proj", false],
    ["proj", false],
    [".*proj", true],
    ["2\\.self_attn\\.[qv]_proj", true],
    ["layers\\.(1|2)\\..*", true],
    ["(?:q|v)_proj|down_proj", true],
    ["self_attn", false],
    ["base_model.model.model.layers.2.self_attn.v_proj", false],
  ])("%s", (key, isMatch) => {
    expect(scale({ alpha_pattern: { [key]: 8 } })).toBe(isMatch ? 4 : 1);
    const ranked = () => scale({ r: 1, rank_pattern: { [key]: 2 } });
    if (isMatch) expect(ranked()).toBe(1);
    else expect(ranked).toThrow("layer 2 v_proj has rank 2, but adapter_config.json says 1");
  });

  it("of several the first that matches", () => {
    expect(scale({ alpha_pattern: { k_proj: 2, ".*": 6, v_proj: 8 } })).toBe(3);
  });

  it.each(["(v_proj", "\\Av_proj", "(?P<a>v_proj)"])("unless Python reads it otherwise: %s", (key) => {
    expect(() => scale({ alpha_pattern: { [key]: 1 } })).toThrow(`alpha_pattern has the key ${key}, which cannot be`);
  });
});

it("rank-stabilized adapters divide by the root of the rank", () => {
  expect(scale({ lora_alpha: 6, use_rslora: true })).toBeCloseTo(6 / Math.SQRT2, 12);
});
