// What tests of grammars share: whether a text fits, and texts drawn at random from what a grammar allows.
import { buildTree, createMatcher, type VocabularyTree } from "../../src/engine/grammar/index.ts";
import { createRecognizer, NOWHERE } from "../../src/engine/grammar/recognizer.ts";
import { createSampler } from "../../src/engine/sampling/index.ts";
import { compileGrammar, type Grammar } from "../../src/grammar/index.ts";

/** Schema of an object that has these properties, as strict mode wants it. */
export const strictObject = (properties: Record<string, unknown>): Record<string, unknown> => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

/** The grammar of one value, without the strict rules for roots. */
export const grammarOf = (schema: unknown): Grammar => compileGrammar({ type: "json_schema", schema, strict: false });

/** Whether a whole text fits a grammar. */
export function accepts(grammar: Grammar, text: string): boolean {
  const { start, step, isComplete } = createRecognizer(grammar);
  let at = start;
  for (const byte of new TextEncoder().encode(text)) {
    at = step(at, byte);
    if (at === NOWHERE) return false;
  }
  return isComplete(at);
}

/** Every byte, and pieces as a byte-level vocabulary has them, some of which reach over the end of a JSON value. */
const PIECES = [
  ...[
    '"}',
    '"]',
    '","',
    '", "',
    '": ',
    '":',
    '":"',
    '": "',
    "{}",
    "[]",
    "[[",
    "]]",
    "}}",
    '{"',
    '["',
    "},",
    "],",
    "}]",
    '"}]',
  ],
  ...["true", "false", "null", "tr", "ue", "nul", "0.", "00", "12", "999", ".5", "e+", "-1", "1,", "2]", "3}", "10"],
  ...["the", " of", "é", "日本", "🙂", '\\"', "\\u", "\\n", "2024", "-02", "T1", "0Z", "@a", ".com", "::", "  ", ",\n"],
];
const encoder = new TextEncoder();
export const TOKENS: readonly Uint8Array[] = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...PIECES.map((piece) => encoder.encode(piece)),
];
export const END_ID = TOKENS.length;
export const VOCABULARY: VocabularyTree = buildTree([...TOKENS, undefined]);

/** xorshift32, for logits. */
export function randomNumbers(seed: number): () => number {
  let state = (Math.imul(seed, 2654435761) ^ 0x9e3779b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** Bytes that bring a text nearer to its end. */
const CLOSING = new Set([...'"}]'].map((character) => character.charCodeAt(0)));

export interface DrawOptions {
  readonly grammar: Grammar;
  readonly seed: number;
  /** Default 200. */
  readonly maxTokens?: number;
}

/**
 * What a model with random logits says at temperature 2 under a grammar, or undefined when it has not come to an end. From a quarter of its
 * tokens on it leans more and more to closing what is open, as nothing else makes a random text end.
 */
export function draw({ grammar, seed, maxTokens = 200 }: DrawOptions): string | undefined {
  const matcher = createMatcher({ grammar, vocabulary: VOCABULARY, endIds: [END_ID] });
  const sampler = createSampler({ seed, temperature: 2 });
  const random = randomNumbers(seed);
  const logits = new Float32Array(END_ID + 1);
  const bytes: number[] = [];
  for (let position = 0; position < maxTokens && !matcher.over; position++) {
    const lean = Math.max(0, 40 * (position / maxTokens - 0.25));
    for (let id = 0; id < logits.length; id++) logits[id] = 6 * random() + (CLOSING.has(id) ? lean : 0);
    logits[END_ID] = lean;
    const { id } = sampler.next(logits, position, matcher.mask());
    if (id === END_ID) return decode(bytes);
    matcher.accept(id);
    bytes.push(...(TOKENS[id] as Uint8Array));
  }
  return matcher.over ? decode(bytes) : undefined;
}

const decode = (bytes: readonly number[]): string =>
  new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
