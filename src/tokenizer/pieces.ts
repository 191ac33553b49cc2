// SentencePiece's way to write text in a vocabulary: a sign for the space, and entries for single bytes.

/** Stands for a space (U+2581). */
export const SPACE = "\u2581";

/** The entry for one byte. */
export const byteToken = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;

const BYTE = /^<0x([0-9A-F]{2})>$/;
const encoder = new TextEncoder();

/** The bytes that an entry stands for. */
export function bytesOfPiece(piece: string): Uint8Array {
  const byte = BYTE.exec(piece)?.[1];
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return encoder.encode(piece.replaceAll(SPACE, " "));
}
