// The bytes of every token as one tree, in the form that a walk over it wants: tokens that begin alike are looked at once. The build writes
// it, so that a replica that is asked for a grammar reads under a megabyte and sorts nothing.

/** Nodes in depth-first order; those below a node follow it. */
export interface VocabularyTree {
  /** Tokens that the logits have. */
  readonly size: number;
  /** `[nodes]`: the node's byte in the high 8 bits, `PLAIN`, and in `SUBTREE` how many nodes it is with all below it. */
  readonly nodes: Uint32Array;
  /** `[nodes]`: the token whose bytes end here, or -1. */
  readonly ids: Int32Array;
  /** Tokens of plain bytes only, one bit a token, 32 a word, lowest bit first. */
  readonly plain: Int32Array;
  /** Bytes of the longest of them. */
  readonly plainBytes: number;
}

export const SUBTREE = 0x7fffff;
/** Set on a node when its byte and all below it are plain. */
export const PLAIN = 0x800000;

/** Most of a vocabulary is made of these alone, and a JSON string takes them as they are: printable ASCII but for quote and backslash. */
export const isPlain = (byte: number): boolean => byte >= 0x20 && byte <= 0x7e && byte !== 0x22 && byte !== 0x5c;

/** @param tokens bytes by token id; empty or undefined for a token that is no text. Of tokens with the same bytes the first counts */
export function buildTree(tokens: readonly (Uint8Array | undefined)[]): VocabularyTree {
  interface Node {
    id: number;
    readonly below: Map<number, Node>;
  }
  const root: Node = { id: -1, below: new Map() };
  let count = 0;
  for (const [id, bytes] of tokens.entries()) {
    if (!bytes?.length) continue;
    let at = root;
    for (const byte of bytes) {
      let next = at.below.get(byte);
      if (!next) {
        next = { id: -1, below: new Map() };
        at.below.set(byte, next);
        count++;
      }
      at = next;
    }
    if (at.id < 0) at.id = id;
  }
  if (count > SUBTREE) throw new Error(`the vocabulary's tree has ${count} nodes; ${SUBTREE} are supported`);
  const nodes = new Uint32Array(count);
  const ids = new Int32Array(count);
  let next = 0;
  /** Lays out what is below a node, and tells whether it is all plain. */
  const lay = ({ below }: Node): boolean => {
    let all = true;
    for (const [byte, node] of [...below].sort(([a], [b]) => a - b)) {
      const index = next++;
      ids[index] = node.id;
      const plain = lay(node) && isPlain(byte);
      nodes[index] = ((byte << 24) | (plain ? PLAIN : 0) | (next - index)) >>> 0;
      all &&= plain;
    }
    return all;
  };
  lay(root);
  return { size: tokens.length, nodes, ids, ...plainTokens(tokens.length, nodes, ids) };
}

function plainTokens(size: number, nodes: Uint32Array, ids: Int32Array): { plain: Int32Array; plainBytes: number } {
  const plain = new Int32Array(Math.ceil(size / 32));
  let plainBytes = 0;
  const ends: number[] = [];
  for (let at = 0; at < nodes.length; ) {
    while (ends.length > 0 && at >= (ends.at(-1) as number)) ends.pop();
    const node = nodes[at] as number;
    if (!isPlain(node >>> 24)) {
      at += node & SUBTREE;
      continue;
    }
    ends.push(at + (node & SUBTREE));
    const id = ids[at++] as number;
    if (id < 0) continue;
    plain[id >> 5] = (plain[id >> 5] as number) | (1 << (id & 31));
    plainBytes = Math.max(plainBytes, ends.length);
  }
  return { plain, plainBytes };
}

/** The tree as the build writes it: the number of tokens, then `nodes`, then `ids`, little-endian. */
export function writeTree({ size, nodes, ids }: VocabularyTree): Uint8Array {
  const file = new Uint8Array(4 + 8 * nodes.length);
  const view = new DataView(file.buffer);
  view.setUint32(0, size, true);
  for (const [i, node] of nodes.entries()) view.setUint32(4 + 4 * i, node, true);
  for (const [i, id] of ids.entries()) view.setInt32(4 + 4 * (nodes.length + i), id, true);
  return file;
}

/** @param file as `writeTree` makes it; kept, not copied. Its start must lie at a multiple of 4 bytes */
export function readTree(file: Uint8Array): VocabularyTree {
  const { buffer, byteOffset, length } = file;
  const count = (length - 4) / 8;
  const size = new Uint32Array(buffer, byteOffset, 1)[0] as number;
  const nodes = new Uint32Array(buffer, byteOffset + 4, count);
  const ids = new Int32Array(buffer, byteOffset + 4 + 4 * count, count);
  return { size, nodes, ids, ...plainTokens(size, nodes, ids) };
}
