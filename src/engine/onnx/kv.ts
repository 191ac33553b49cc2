// The KV cache of one slot: rows one after another, so that the whole of it goes into a graph as one view.

export interface KvCache {
  /** Bytes allocated now. */
  readonly bytes: number;
  /** Writes rows at a position; what was there or after it is forgotten. */
  write(position: number, k: Float32Array, v: Float32Array): void;
  /** K and V of the first `tokens` positions, each `[tokens, width]`; valid until the next write. */
  view(tokens: number): { k: Float32Array; v: Float32Array };
}

/** Tokens that a cache grows by; a short conversation should not pay for the whole context. */
const GROWTH = 256;

/**
 * @param width values of K that a token adds, which are as many as of V
 * @param capacity most tokens it may come to hold
 */
export function createKvCache(width: number, capacity: number): KvCache {
  let room = 0;
  let keys = new Float32Array(0);
  let values = new Float32Array(0);
  const grown = (rows: Float32Array): Float32Array<ArrayBuffer> => {
    const larger = new Float32Array(room * width);
    larger.set(rows);
    return larger;
  };
  return {
    get bytes() {
      return keys.byteLength + values.byteLength;
    },
    write(position, k, v) {
      const end = position + k.length / width;
      if (end > room) {
        room = Math.min(capacity, Math.ceil(end / GROWTH) * GROWTH);
        keys = grown(keys);
        values = grown(values);
      }
      keys.set(k, position * width);
      values.set(v, position * width);
    },
    view: (tokens) => ({ k: keys.subarray(0, tokens * width), v: values.subarray(0, tokens * width) }),
  };
}
