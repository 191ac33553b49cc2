// Which tokens a grammar allows next: a walk over the vocabulary's tree that leaves a branch with the first byte that does not fit.
import type { Grammar } from "../../grammar/index.ts";
import { createRecognizer, GrammarError, NOWHERE, type Position } from "./recognizer.ts";
import { isPlain, PLAIN, SUBTREE, type VocabularyTree } from "./vocabulary.ts";

export interface MatcherOptions {
  readonly grammar: Grammar;
  readonly vocabulary: VocabularyTree;
  /** Tokens that end the reply: allowed where the text may end. */
  readonly endIds: readonly number[];
}

export interface Matcher {
  /**
   * The tokens that may come next, end tokens where the text may end: one bit a token, 32 a word, lowest bit first, as the sampler takes it.
   * Valid until the next call; not to be changed.
   * @throws GrammarError when no token fits, or the grammar can be read in too many ways at once
   */
  mask(): Int32Array;
  /** Goes on with a token that the mask allows, other than an end token. @throws GrammarError for one that it does not allow */
  accept(id: number): void;
  /** Whether the text may end here. */
  readonly complete: boolean;
  /** Whether the text can only end here. */
  readonly over: boolean;
  /** As of the recognizer: what its time grows with. */
  readonly work: number;
}

/** Masks that are kept: some 6 kB each. */
const MAX_MASKS = 64;
/** Ways to read a text that are kept from one mask to the next: some 2 MB. */
const MAX_KEPT = 16_384;
/** Bytes that a token may have. */
const MAX_LEVELS = 1024;
const PLAIN_BYTES = Array.from({ length: 256 }, (_, byte) => byte).filter(isPlain);

export function createMatcher({ grammar, vocabulary, endIds }: MatcherOptions): Matcher {
  const { nodes, ids, size, plain, plainBytes } = vocabulary;
  const recognizer = createRecognizer(grammar);
  const { classOf, classes } = recognizer;
  const masks = new Map<Position, Int32Array>();
  /** The way down the tree: by level where its position's row begins in the recognizer's table, and where the level ends. */
  const rows = new Int32Array(MAX_LEVELS);
  const ends = new Int32Array(MAX_LEVELS);
  /** `PLAIN` where plain tokens are in the mask already and the bytes on the way to a level are all plain. */
  const plainTo = new Int32Array(MAX_LEVELS);
  const plainBytesByClass = [...new Map(PLAIN_BYTES.map((byte) => [classOf[byte], byte])).values()];
  let position = recognizer.start;

  /** Whether any plain bytes may come, as many as a token has: the case of most of a string. */
  const takesPlain = (): boolean => {
    let at = position;
    for (let taken = 0; taken < plainBytes; taken++) {
      let next: Position | undefined;
      for (const byte of plainBytesByClass) {
        const to = recognizer.step(at, byte);
        next ??= to;
        if (to === NOWHERE || to !== next) return false;
      }
      if (next === at || next === undefined) break;
      at = next;
    }
    return true;
  };
  const fill = (mask: Int32Array): void => {
    recognizer.allow();
    let { table } = recognizer;
    let found = recognizer.isComplete(position);
    let level = 0;
    plainTo[0] = 0;
    if (takesPlain()) {
      mask.set(plain);
      plainTo[0] = PLAIN;
      found = true;
    }
    table = recognizer.table;
    rows[0] = position * classes;
    ends[0] = nodes.length;
    for (let at = 0; at < nodes.length; ) {
      while (at >= (ends[level] as number)) level--;
      const node = nodes[at] as number;
      if (node & (plainTo[level] as number)) {
        at += node & SUBTREE;
        continue;
      }
      const row = rows[level] as number;
      let next = table[row + (classOf[node >>> 24] as number)] as number;
      if (next === 0) {
        next = recognizer.step(row / classes, node >>> 24);
        table = recognizer.table;
      }
      if (next === NOWHERE) {
        at += node & SUBTREE;
        continue;
      }
      const id = ids[at] as number;
      if (id >= 0) {
        mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31));
        found = true;
      }
      plainTo[level + 1] = isPlain(node >>> 24) ? (plainTo[level] as number) : 0;
      level++;
      rows[level] = next * classes;
      ends[level] = at + (node & SUBTREE);
      at++;
    }
    if (!found) throw new GrammarError("no token of the vocabulary fits the grammar here");
    if (!recognizer.isComplete(position)) return;
    for (const id of endIds) mask[id >> 5] = (mask[id >> 5] as number) | (1 << (id & 31));
  };

  return {
    mask() {
      let mask = masks.get(position);
      if (mask) return mask;
      if (recognizer.kept > MAX_KEPT) {
        position = recognizer.forget(position);
        masks.clear();
      }
      if (masks.size === MAX_MASKS) masks.clear();
      mask = new Int32Array(Math.ceil(size / 32));
      fill(mask);
      masks.set(position, mask);
      return mask;
    },
    accept(id) {
      recognizer.allow();
      const target = ids.indexOf(id);
      let next = target < 0 ? NOWHERE : position;
      for (let at = 0; next !== NOWHERE && at <= target; ) {
        const node = nodes[at] as number;
        if (at + (node & SUBTREE) <= target) {
          at += node & SUBTREE;
          continue;
        }
        next = recognizer.step(next, node >>> 24);
        at++;
      }
      if (next === NOWHERE) throw new GrammarError(`token ${id} does not fit the grammar here`);
      position = next;
    },
    get complete() {
      return recognizer.isComplete(position);
    },
    get over() {
      return recognizer.isOver(position);
    },
    get work() {
      return recognizer.work;
    },
  };
}
