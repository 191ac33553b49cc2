// Cuts a text into segments that can be encoded one by one, so that a long prompt does not hold up the other requests of the isolate.

/** Segments end at the first border after this many characters. */
const SEGMENT = 2048;
/**
 * Most characters without a border. Byte-level BPE takes up to 16 us a character in such a run (measured on runs of spaces), so this
 * bounds the time without a turn of the event loop to some 130 ms.
 */
export const MAX_RUN = 8192;

/**
 * Places that no token crosses, whatever stands around them: before a run of white space, and between a sign and a letter. (No word of
 * GPT-2's pattern goes over them, and it looks ahead only for white space; the apostrophe is left out because of 's and the like.)
 */
const BORDER = /(?<=\S)(?=\s)|(?<=[^\s\p{L}\p{N}'])(?=\p{L})/gu;

export class RunTooLongError extends Error {
  override readonly name = "RunTooLongError";
}

/** @throws RunTooLongError when more than `MAX_RUN` characters have no border between them */
export function* segments(text: string): Generator<string> {
  let start = 0;
  let searched = 0;
  while (text.length - start > SEGMENT) {
    BORDER.lastIndex = Math.max(searched, start + SEGMENT);
    const border = BORDER.exec(text)?.index ?? text.length;
    searched = border;
    if (border - start > SEGMENT + MAX_RUN) {
      throw new RunTooLongError(
        `a run of ${border - start - SEGMENT} characters and more has no white space in it; at most ${MAX_RUN} can be read`,
      );
    }
    yield text.slice(start, border);
    start = border;
  }
  if (start < text.length) yield text.slice(start);
}
