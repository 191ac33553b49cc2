// The factors of a LoRA adapter, as PEFT's safetensors file holds them.
import { LINEARS, type Linear } from "../../src/variants/index.ts";
import { type NamedTensor, readSafetensors } from "../safetensors.ts";

const NAME = /(?:^|\.)layers\.(\d+)\.(?:self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj\.lora_([AB])(?:\.[^.]+)?\.weight$/;

/** Both factors of an adapted linear of a layer or slot. */
export interface FactorPair {
  readonly number: number;
  readonly linear: Linear;
  /** lora_A, `[rank, cols]` */
  readonly a: NamedTensor;
  /** lora_B, `[rows, rank]` */
  readonly b: NamedTensor;
}

/**
 * The factors that a PEFT adapter's safetensors file holds.
 * @param fail makes an error of a problem
 * @param unit what the file's numbers count, for messages
 */
export function readPairs(bytes: Uint8Array, fail: (problem: string) => Error, unit = "layer"): FactorPair[] {
  let tensors: Map<string, NamedTensor>;
  try {
    tensors = readSafetensors(bytes);
  } catch (error) {
    throw fail((error as Error).message);
  }
  const pairs = new Map<string, { number: number; linear: Linear; a?: NamedTensor; b?: NamedTensor }>();
  for (const [name, tensor] of tensors) {
    const match = NAME.exec(name);
    const [number, linear, side] = [Number(match?.[1]), match?.[2] as Linear, match?.[3]];
    if (!match)
      throw fail(`tensor ${name} is none of ${LINEARS.map((l) => `${l}_proj`).join(", ")}'s lora_A or lora_B`);
    const key = `${number} ${linear}`;
    const pair = pairs.get(key) ?? { number, linear };
    pairs.set(key, side === "A" ? { ...pair, a: tensor } : { ...pair, b: tensor });
  }
  return [...pairs.values()].map(({ number, linear, a, b }) => {
    if (!a || !b) throw fail(`${unit} ${number} ${linear}_proj has no lora_${a ? "B" : "A"}`);
    return { number, linear, a, b };
  });
}
