// Finds NaN and infinity in tensors as they are stored, without reading their values.
import { BLOCKS, type BlockType } from "./header.ts";

/** Where a block has numbers that may be none: half-precision scales and minima, or the values themselves. */
const FLOATS: Record<BlockType, { readonly at: readonly number[]; readonly bytes: 2 | 4; readonly exponent: number }> =
  {
    f32: { at: [0], bytes: 4, exponent: 0x7f80_0000 },
    f16: { at: [0], bytes: 2, exponent: 0x7c00 },
    bf16: { at: [0], bytes: 2, exponent: 0x7f80 },
    q8_0: { at: [0], bytes: 2, exponent: 0x7c00 },
    q4_0: { at: [0], bytes: 2, exponent: 0x7c00 },
    q4_1: { at: [0, 2], bytes: 2, exponent: 0x7c00 },
    q4_k: { at: [0, 2], bytes: 2, exponent: 0x7c00 },
    q6_k: { at: [208], bytes: 2, exponent: 0x7c00 },
  };

/**
 * The place of the first value, or the first one of its block, that is infinite or no number; undefined: all are finite.
 * @param data whole blocks, row-major
 */
export function firstNotFinite(type: BlockType, data: Uint8Array): number | undefined {
  const { at, bytes, exponent } = FLOATS[type];
  const block = BLOCKS[type];
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let start = 0; start < data.length; start += block.bytes) {
    for (const offset of at) {
      const bits = bytes === 4 ? view.getUint32(start + offset, true) : view.getUint16(start + offset, true);
      // All ones in the exponent.
      if ((bits & exponent) === exponent) return (start / block.bytes) * block.values;
    }
  }
  return undefined;
}

/** What is wrong with a tensor that is not finite, for messages; undefined: all is. */
export function notFinite(
  { type, cols }: { readonly type: BlockType; readonly cols: number },
  data: Uint8Array,
): string | undefined {
  const at = firstNotFinite(type, data);
  if (at === undefined) return undefined;
  const what = BLOCKS[type].values === 1 ? "" : "as a scale of the block ";
  return `has NaN or infinity ${what}at [${Math.floor(at / cols)}, ${at % cols}]`;
}
