// How each kind of tokenizer reads text: what it makes of it before its merges, where it may be cut, and what its entries spell.
import { bytesOfToken } from "./alphabet.ts";
import { bytesOfPiece, SPACE } from "./pieces.ts";
import { type FindBorder, joinBorder, patternBorder, SEGMENT, wordBorder } from "./segments.ts";

/** Of tokenizer.json, what decides it. */
export interface TokenizerModel {
  readonly normalizer?: unknown;
  readonly pre_tokenizer?: unknown;
  readonly model: {
    readonly byte_fallback?: boolean;
    readonly merges: readonly (string | readonly string[])[];
  };
}

export interface Reading {
  /** The bytes that an entry of the vocabulary stands for. */
  bytesOf(token: string): Uint8Array;
  /** Text as the merges see it. @param isFirst nothing comes before it, not even a special token */
  prepare(text: string, isFirst: boolean): string;
  /** Where a prepared text may be cut: tokens are the same. */
  readonly findBorder: FindBorder;
  /** Characters between two cuts, at least. */
  readonly segment: number;
  /** Whether a text in this place gets a space that it does not have. */
  hasPrefix(isFirst: boolean): boolean;
  /** What the library is to do with prepared text, in tokenizer.json's words. */
  readonly steps: { readonly normalizer: unknown; readonly pre_tokenizer: unknown };
}

/** SentencePiece's tokenizers are those that fall back to bytes. */
export const createReading = (tokenizer: TokenizerModel): Reading =>
  tokenizer.model.byte_fallback ? sentencePiece(tokenizer) : byteLevel(tokenizer);

function byteLevel({ normalizer, pre_tokenizer }: TokenizerModel): Reading {
  const encoder = new TextEncoder();
  return {
    bytesOf(token) {
      const bytes = bytesOfToken(token);
      return bytes ? Uint8Array.from(bytes) : encoder.encode(token);
    },
    prepare: (text) => text,
    findBorder: typesOf(pre_tokenizer).includes("Split") ? patternBorder : wordBorder,
    segment: SEGMENT,
    hasPrefix: () => false,
    steps: { normalizer, pre_tokenizer },
  };
}

function sentencePiece({ normalizer, pre_tokenizer, model }: TokenizerModel): Reading {
  const prepends = typesOf(normalizer).includes("Prepend");
  const scheme = prepends
    ? "always"
    : ((pre_tokenizer as { prepend_scheme?: string } | null)?.prepend_scheme ?? "never");
  const hasPrefix = (isFirst: boolean): boolean => scheme === "always" || (scheme === "first" && isFirst);
  return {
    bytesOf: bytesOfPiece,
    prepare(text, isFirst) {
      const spaced = text.replaceAll(" ", SPACE);
      // Metaspace leaves a text alone that begins with a space.
      return hasPrefix(isFirst) && (prepends || !spaced.startsWith(SPACE)) ? SPACE + spaced : spaced;
    },
    findBorder: joinBorder(model.merges),
    // Words, then, which the library remembers: half the time.
    segment: 1,
    hasPrefix,
    steps: { normalizer: null, pre_tokenizer: null },
  };
}

/** Types of a step of tokenizer.json and of those within it. */
function typesOf(step: unknown): string[] {
  if (typeof step !== "object" || step === null) return [];
  const { type, ...within } = step as { readonly type?: string };
  return [type ?? "", ...Object.values(within).flatMap((list) => (Array.isArray(list) ? list.flatMap(typesOf) : []))];
}
