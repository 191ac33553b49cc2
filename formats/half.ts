// Rounds to half precision (IEEE 754 binary16), which is what blocks keep their scales and minima in.

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
