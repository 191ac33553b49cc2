// fp32 values in GGUF's formats, each rounded to the nearest value that the format has.

import { toBfloat, toHalf } from "../../formats/half.ts";
import { toTensor } from "./containers.ts";
import { roundToNearest } from "./rtn.ts";

/** Formats that are written. */
export type EncodedType = "f32" | "f16" | "bf16" | "q8_0" | "q4_1";

type Encode = (values: Float32Array, cols: number) => Uint8Array;

/** Two bytes a value. */
const sixteen =
  (toBits: (value: number) => number): Encode =>
  (values) => {
    const data = new Uint8Array(values.length * 2);
    const view = new DataView(data.buffer);
    for (let i = 0; i < values.length; i++) view.setUint16(2 * i, toBits(values[i] as number), true);
    return data;
  };

const blocks =
  (type: "q4_1" | "q8_0"): Encode =>
  (values, cols) => {
    const grid =
      type === "q4_1" ? ({ bits: 4, kind: "asymmetric" } as const) : ({ bits: 8, kind: "symmetric" } as const);
    const matrix = { rows: values.length / cols, cols, values };
    return toTensor("the tensor", roundToNearest(matrix, { ...grid, block: 32 }), type).data;
  };

const ENCODERS: Record<EncodedType, Encode> = {
  f32: (values) => {
    const data = new Uint8Array(values.length * 4);
    const view = new DataView(data.buffer);
    for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i] as number, true);
    return data;
  },
  f16: sixteen(toHalf),
  bf16: sixteen(toBfloat),
  q8_0: blocks("q8_0"),
  q4_1: blocks("q4_1"),
};

/**
 * @param values `[rows, cols]`, row-major
 * @throws RangeError for columns that do not fill blocks, or a value that is beyond half precision where the format has such
 */
export const encodeBlocks = (type: EncodedType, values: Float32Array, cols: number): Uint8Array =>
  ENCODERS[type](values, cols);
