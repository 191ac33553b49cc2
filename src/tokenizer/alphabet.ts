// Byte-level BPE writes every byte as a printable character; this is that alphabet (GPT-2, encoder.py, `bytes_to_unicode`).

/** The character that stands for each byte. */
export const byteCharacters: readonly string[] = alphabet();

const bytes = new Map(byteCharacters.map((character, byte) => [character, byte]));

/** The bytes that a vocabulary entry stands for, or undefined when it is not written in this alphabet. */
export function bytesOfToken(token: string): number[] | undefined {
  const decoded: number[] = [];
  for (const character of token) {
    const byte = bytes.get(character);
    if (byte === undefined) return undefined;
    decoded.push(byte);
  }
  return decoded;
}

function alphabet(): string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}
