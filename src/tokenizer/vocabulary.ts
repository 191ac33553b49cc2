// The bytes of every token in one block: decoding needs no strings, and 49,152 small arrays would cost megabytes.
export interface Vocabulary {
  readonly size: number;
  /** The bytes of a token; none for an id that is not in the vocabulary. */
  bytesOf(id: number): Uint8Array;
}

/**
 * @param tokens vocabulary entries with their ids
 * @param specials entries that are written as the text that they are
 * @param spelled the bytes of the others
 */
export function createVocabulary(
  tokens: ReadonlyMap<string, number>,
  specials: ReadonlyMap<string, number>,
  spelled: (token: string) => Uint8Array,
): Vocabulary {
  const encoder = new TextEncoder();
  let size = 0;
  for (const id of tokens.values()) size = Math.max(size, id + 1);
  const bytes: Uint8Array[] = new Array(size).fill(new Uint8Array());
  for (const [token, id] of tokens) {
    bytes[id] = specials.has(token) ? encoder.encode(token) : spelled(token);
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
