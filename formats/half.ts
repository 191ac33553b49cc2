// Numbers of 16 bits: half precision (IEEE 754 binary16), which blocks keep their scales and minima
// in, and bfloat16.
import { fromHalf } from "../src/engine/index.ts";

/** Half-precision bits to a number. The engine's own: both read the same values. */
export { fromHalf };

const single = new Float32Array(1);
const bits = new Uint32Array(single.buffer);

/**
 * Nearest half-precision number, ties to even, as bits.
 * @throws RangeError beyond the largest half, 65504
 */
export function toHalf(value: number): number {
  const magnitude = Math.abs(value);
  if (!(magnitude <= 65504)) throw new RangeError(`${value} is beyond half precision`);
  single[0] = magnitude;
  const exponent = Math.max(((bits[0] as number) >>> 23) - 127, -14);
  const steps = magnitude / 2 ** (exponent - 10);
  const down = Math.floor(steps);
  const rest = steps - down;
  const mantissa = down + (rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? 1 : 0);
  // A mantissa of 2048 carries into the exponent by itself.
  return (value < 0 ? 0x8000 : 0) | (((exponent + 14) << 10) + mantissa);
}

/** The least half-precision number that is not below a number from 0 to 65504, as bits. */
export function halfAtLeast(value: number): number {
  // Positive halves order as their bits do.
  let low = 0;
  let high = 0x7bff;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (fromHalf(middle) >= value) high = middle;
    else low = middle + 1;
  }
  return low;
}

let halves: Float32Array | undefined;
/** Every half-precision number, by its bits: faster than `fromHalf` where many are read. */
export const halfTable = (): Float32Array => {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, half) => fromHalf(half));
  return halves;
};

/** The nearest bfloat16, ties to even, as bits. */
export function toBfloat(value: number): number {
  single[0] = value;
  const x = bits[0] as number;
  return (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
}

/** Bits of a bfloat16 to a number. */
export function fromBfloat(value: number): number {
  bits[0] = value << 16;
  return single[0] as number;
}
