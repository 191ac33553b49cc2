// The bytes of every token in one block: decoding needs no strings, and 49,152 small arrays would cost megabytes.
import { bytesOfToken } from "./alphabet.ts";

export interface Vocabulary {
  readonly size: number;
  /** The bytes of a token; none for an id that is not in the vocabulary. */
  bytesOf(id: number): Uint8Array;
}

/**
 * @param tokens vocabulary entries with their ids
 * @param specials entries that are plain text and not written in the byte alphabet
 */
export function createVocabulary(
  tokens: ReadonlyMap<string, number>,
  specials: ReadonlyMap<string, number>,
): Vocabulary {
  const encoder = new TextEncoder();
  let size = 0;
  for (const id of tokens.values()) size = Math.max(size, id + 1);
  const bytes: Uint8Array[] = new Array(size).fill(new Uint8Array());
  for (const [token, id] of tokens) {
    const own = specials.has(token) ? undefined : bytesOfToken(token);
    bytes[id] = own ? Uint8Array.from(own) : encoder.encode(token);
  }
  const starts = new Uint32Array(size + 1);
  bytes.forEach((own, id) => {
    starts[id + 1] = (starts[id] as number) + own.length;
  });
  const block = new Uint8Array(starts[size] as number);
  bytes.forEach((own, id) => {
    block.set(own, starts[id]);
  });
  return {
    size,
    bytesOf: (id) => block.subarray(starts[id] ?? 0, starts[id + 1] ?? 0),
  };
}
